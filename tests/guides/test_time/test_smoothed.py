"""The correlated posterior against the joint Gaussian written out, and against an exact smoother."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI
from pyro.optim import ClippedAdam
from torch import Tensor
from torch.distributions import MultivariateNormal

from minvae_pyro.guides import MeanFieldGuide, SmoothedGuide, UtteranceGuide
from minvae_pyro.models import AudioVAE, Latent, SpeechPrior
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.gauss_markov import CorrelatedNormal, MarkovNormal
from minvae_pyro.utterances import Plates, Utterances

FRAMES, LATENT = 7, 2


def process(frames: int = FRAMES) -> CorrelatedNormal:
    mean = torch.randn(3, frames, LATENT, dtype=torch.float64)
    correlation = torch.tensor([[0.8, -0.5], [0.3, 0.0], [-0.95, 0.99]], dtype=torch.float64)[:, None]
    return CorrelatedNormal(mean, 0.2 + torch.rand_like(mean), correlation)


def covariance(q: CorrelatedNormal) -> Tensor:
    """Of the frames of each dimension, (B, L, N, N), written out from its definition."""
    n = torch.arange(q.batch_shape[-1])
    scale, correlation = q.scale.mT, q.correlation.mT[..., None]
    return scale[..., :, None] * scale[..., None, :] * correlation ** (n[:, None] - n).abs()


@pytest.mark.parametrize("frames", [1, 2, FRAMES])
def test_log_density_is_that_of_the_joint_normal(frames: int) -> None:
    q = process(frames)
    value = torch.randn(4, 3, frames, LATENT, dtype=torch.float64)
    joint = MultivariateNormal(q.mean.mT, covariance(q) + 1e-13 * torch.eye(frames))
    assert q.log_prob(value).shape == (4, 3, frames)
    torch.testing.assert_close(q.log_prob(value).sum(-1), joint.log_prob(value.mT).sum(-1), rtol=1e-7, atol=1e-7)


def test_every_leading_part_is_the_process_of_fewer_frames() -> None:
    q, value = process(), torch.randn(3, FRAMES, LATENT, dtype=torch.float64)
    short = CorrelatedNormal(q.mean[:, :4], q.scale[:, :4], q.correlation)
    torch.testing.assert_close(q.log_prob(value)[:, :4], short.log_prob(value[:, :4]))


@pytest.mark.parametrize("frames", [1, 2, 3, 6, FRAMES, 8])
def test_draws_are_a_linear_map_whose_square_is_the_covariance(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fed with unit vectors in place of noise, rsample shows its matrix: no Monte Carlo is needed."""
    q = process(frames)
    units = torch.eye(frames, dtype=torch.float64)[:, None, :, None].expand(frames, 3, frames, LATENT)
    monkeypatch.setattr("minvae_pyro.probability.gauss_markov.normal", lambda shape, like: units)
    columns = (q.rsample((frames,)) - q.mean).permute(1, 3, 2, 0)  # (B, L, N, noise)
    torch.testing.assert_close(columns @ columns.mT, covariance(q))


def test_draws_have_the_right_score() -> None:
    q = process()
    q.mean.requires_grad_()
    draws = q.rsample((3000,))
    entropy = (MultivariateNormal(q.mean.mT, covariance(q) + 1e-13 * torch.eye(FRAMES)).entropy()).sum(-1)
    scores = -q.log_prob(draws).sum(-1)
    torch.testing.assert_close(scores.mean(0), entropy, rtol=0, atol=0.3)
    assert torch.autograd.grad(draws.sum(), q.mean)[0].abs().min() > 0
    assert q.expand((2, 3, FRAMES)).rsample().shape == (2, 3, FRAMES, LATENT)


class LinearChain(SpeechPrior):
    """z a random walk with a spring, s = z + noise: the Kalman smoother's home."""

    latent_dim = LATENT
    spring, step, spread = 0.9, 0.3, 0.8

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        ones = torch.ones(len(utterances), LATENT, dtype=torch.float64)
        chain = MarkovNormal(
            (0 * ones, self.step * ones),
            lambda before, frames: (self.spring * before, torch.full_like(before, self.step)),
            utterances.frames,
        )
        with plates.every_frame():
            return Latent(pyro.sample("z", chain))

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        raise AssertionError("its likelihood is a normal")

    def likelihood(self, latent: Latent, utterances: Utterances) -> Any:
        return dist.Normal(latent.z, self.spread).to_event(1)

    def posterior(self, signal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean (B, N, L), covariance (N, N) of one dimension and log-evidence, by inverting the whole matrix."""
        frames = signal.shape[1]
        difference = torch.eye(frames, dtype=torch.float64)
        difference[1:, :-1] -= self.spring * torch.eye(frames - 1)
        precision = difference.T @ difference / self.step**2
        posterior = (precision + torch.eye(frames) / self.spread**2).inverse()
        marginal = precision.inverse() + self.spread**2 * torch.eye(frames)
        evidence = MultivariateNormal(torch.zeros(frames).double(), marginal).log_prob(signal.mT).sum()
        return posterior @ signal / self.spread**2, posterior, evidence


def bound(prior: SpeechPrior, guide: UtteranceGuide, batch: Utterances) -> float:
    """Mean of 60 sampled bounds."""
    elbo = AnalyticTraceEnum_ELBO(max_plate_nesting=2)
    return -sum(elbo.loss(prior, guide, batch) for _ in range(60)) / 60


def test_on_a_linear_chain_it_comes_closer_to_the_smoother_than_the_mean_field() -> None:
    prior, signal = LinearChain(), torch.randn(1, 12, LATENT, dtype=torch.float64)
    batch = Utterances.from_spectrum(signal)
    start = torch.zeros_like(signal), torch.full_like(signal, 0.5)
    mean, covariance, evidence = prior.posterior(signal)
    fitted: dict[type[UtteranceGuide], Any] = {}
    bounds = []
    for family in (MeanFieldGuide, SmoothedGuide):
        pyro.clear_param_store()
        guide = fitted[family] = family().start(prior, batch, start)
        optimiser = ClippedAdam({"lr": 0.1, "lrd": 0.02 ** (1 / 120)})
        svi = SVI(prior, guide, optimiser, AnalyticTraceEnum_ELBO(max_plate_nesting=2))
        with pyro.validation_enabled(False):
            for _ in range(120):
                svi.step(batch)
            bounds.append(bound(prior, guide, batch))
    assert bounds[0] + 0.5 < bounds[1] < evidence + 0.3
    smoothed = fitted[SmoothedGuide]
    exact_scale = covariance.diagonal().sqrt()[:, None].expand(12, LATENT)
    torch.testing.assert_close(smoothed.mean[0], mean[0], rtol=0, atol=0.1)
    torch.testing.assert_close(smoothed.scale[0], exact_scale, rtol=0.15, atol=0)
    # the mean field is too sure of itself, and cannot know that neighbours err alike
    assert (fitted[MeanFieldGuide].scale[0] < 0.9 * exact_scale)[1:].all()
    neighbours = (covariance.diagonal(1) / (exact_scale[1:, 0] * exact_scale[:-1, 0])).mean()
    torch.testing.assert_close(smoothed.correlation.detach().mean(), neighbours, rtol=0, atol=0.1)


def test_it_starts_at_its_width(world: Any) -> None:
    batch = world.batch(2, 3)
    begin = torch.randn(2, 3, 3, dtype=torch.float64), torch.full((2, 3, 3), 0.4, dtype=torch.float64)
    for width, correlation in ((0.0, 0.0), (2.0, 0.6065306597), (1e9, 0.9702)):
        guide = SmoothedGuide(width).start(AudioVAE(3).double(), batch, begin)
        torch.testing.assert_close(guide.correlation, torch.full((2, 1, 3), correlation, dtype=torch.float64))
        torch.testing.assert_close((guide.z_posterior().mean, guide.z_posterior().stddev), begin)
        assert guide.draw(5)["z"].shape == (5, 2, 3, 3)
    with pytest.raises(ValueError, match="width of at least 0"):
        SmoothedGuide(-1.0)


def test_uncorrelated_it_has_the_bound_of_the_mean_field(world: Any) -> None:
    prior, _ = world.pair("constant")
    batch = world.with_gaps(world.batch(2, 3))
    begin = torch.randn(2, 3, 3, dtype=torch.float64), torch.full((2, 3, 3), 0.4, dtype=torch.float64)
    losses = []
    for family in (MeanFieldGuide(), SmoothedGuide(0.0)):
        guide = family.start(prior, batch, begin)
        guide.update_alpha(prior, batch)
        torch.manual_seed(3)
        losses.append(AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(prior, guide, batch))
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
