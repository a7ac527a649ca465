"""Guides of test time: what they sample, where they start, and their closed form for alpha."""

import itertools
import math
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import kl_divergence

import minvae_pyro.guides.test_time.base
from minvae_pyro.guides import (
    MeanFieldGuide,
    MixtureUtteranceGuide,
    PatientMixtureGuide,
    PointGuide,
    UtteranceGuide,
)
from minvae_pyro.inference import FastVariational, StochasticVariational, VariationalEM
from minvae_pyro.models import (
    AudioVAE,
    ConditionalVAE,
    FixedMarkovAlphaPrior,
    Latent,
    MixtureOfVAEs,
    MouthFeatures,
    NMFNoise,
    NoisyMixture,
    SpeechPrior,
    SwitchingVAE,
)
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.nn.audio_visual import ConcatenatingDecoder, FeaturePerceptron
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.markov import BinaryMarkovChain
from minvae_pyro.probability.random_numbers import normal
from minvae_pyro.utterances import Plates, Utterances

SHAPE = (2, 3, 3)  # utterances, frames, L
L, F, V = 3, 5, 2


def somewhere(*shape: int) -> tuple[Tensor, Tensor]:
    shape = shape or SHAPE
    return torch.randn(shape, dtype=torch.float64), 0.2 + torch.rand(shape, dtype=torch.float64)


def log_normal(z: Any, mean: Tensor, scale: Tensor) -> Any:
    mean, scale = mean.detach().numpy(), scale.detach().numpy()
    return -0.5 * np.log(2 * np.pi * scale**2) - (z - mean) ** 2 / (2 * scale**2)


def expected_log_prior(mean: Tensor, scale: Tensor, component: tuple[Tensor, Tensor]) -> Any:
    """E_q[log p(z)] by Gauss-Hermite quadrature, (B, N)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    total = 0.0
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        total = total + weight * log_normal(mean.numpy() + node * scale.numpy(), *component)
    return np.broadcast_to(total, SHAPE).sum(-1)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("kind", ["constant", "conditional"])
@pytest.mark.parametrize("family", [MeanFieldGuide, PointGuide])
def test_log_odds_of_the_components_by_quadrature(
    world: Any, family: type[MeanFieldGuide], kind: str, gaps: bool
) -> None:
    prior, _ = world.pair(kind)
    batch = world.batch(2, 3)
    if gaps:
        batch = world.with_gaps(batch)
    mean, scale = somewhere()
    guide = family().start(prior, batch, (mean, scale))
    spread = scale if family is MeanFieldGuide else torch.zeros_like(scale)
    assert guide.update_alpha(prior, batch)
    audio, visual = (c(batch) for c in (prior.audio_component, prior.visual_component))
    expected = (
        prior.alpha_prior.logit.item()
        + expected_log_prior(mean, spread, audio)
        - expected_log_prior(mean, spread, visual)
    )
    expected = np.where(batch.mouth_seen, np.clip(expected, -30, 30), 30.0)
    np.testing.assert_allclose(guide.alpha.logits.detach().numpy(), expected, rtol=1e-6, atol=1e-6)
    assert not guide.alpha.logits.requires_grad


@pytest.mark.parametrize("kind", ["constant", "conditional"])
def test_log_odds_maximise_the_bound_over_r(world: Any, kind: str) -> None:
    """At the closed form the enumerated ELBO of the guide has no slope in r, and bends down."""
    prior, _ = world.pair(kind)
    batch = world.batch(2, 3)
    guide = PointGuide().start(prior, batch, somewhere())
    guide.update_alpha(prior, batch)
    best = guide.alpha.logits.clone()
    assert best.abs().max() < 30

    def bound(logit: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for alpha, weight in ((0.0, (-logit).sigmoid()), (1.0, logit.sigmoid())):
            given = poutine.trace(
                poutine.condition(prior, {"z": guide.mean, "alpha": torch.full((2, 3), alpha, dtype=torch.float64)})
            ).get_trace(batch)
            given.compute_log_prob()
            joint = sum(given.nodes[site]["log_prob"] for site in ("alpha", "z", "s"))
            total = total + (weight * (joint - weight.log())).sum()
        return total

    logit = best.clone().requires_grad_()
    (slope,) = torch.autograd.grad(bound(logit), logit)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-6)
    for shift in (-0.3, 0.3):
        assert bound(best + shift) < bound(best)


def test_frames_without_a_mouth_are_the_sounds_whatever_the_components_are(world: Any) -> None:
    batch = world.batch(2, 3).without_mouth()
    nowhere = torch.zeros(SHAPE, dtype=torch.float64)
    narrow = dist.Normal(nowhere, nowhere + 1e-3).to_event(1)
    prior, _ = world.pair("constant")
    prior.audio_component.mean.data += 60.0
    unseen, heard = (kl_divergence(narrow, prior.z_prior(torch.full((2, 3), a), batch)) for a in (0.0, 1.0))
    assert (unseen < heard - 10).all()
    guide = MeanFieldGuide().start(prior, batch, (nowhere, nowhere + 1e-3))
    guide.update_alpha(prior, batch)
    assert (guide.alpha.logits == 30).all()


class TwoDecoders(SpeechPrior):
    """The smallest prior whose likelihood depends on alpha: L = 1, two straight lines from z to the log-variance."""

    latent_dim = 1
    slope = torch.tensor([[0.9, -0.4], [-0.7, 0.8]], dtype=torch.float64)
    level = torch.tensor([[0.3, -0.5], [-0.2, 0.6]], dtype=torch.float64)
    components = ((0.4, 0.7), (-0.6, 1.2))  # mean and scale of z under each alpha
    logit = torch.tensor(0.3, dtype=torch.float64)

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        mean, scale = torch.tensor(self.components, dtype=torch.float64).T
        with plates.every_frame():
            alpha = pyro.sample("alpha", dist.Bernoulli(logits=self.logit))
            which = alpha.long()
            z = pyro.sample("z", dist.Normal(mean[which][..., None], scale[which][..., None]).to_event(1))
        return Latent(z, alpha)

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        which = latent.alpha.long()
        return (latent.z * self.slope[which] + self.level[which]).exp()

    def log_joint(self, z: Tensor, alpha: int, power: Tensor) -> Tensor:
        """log p(s, z | alpha) on a grid, (..., B, N), written out; power (B, N, 2)."""
        mean, scale = self.components[alpha]
        log_variance = z[..., None] * self.slope[alpha] + self.level[alpha]
        likelihood = -(log_variance + power / log_variance.exp()).sum(-1)
        return likelihood - 0.5 * ((z - mean) / scale) ** 2 - np.log(scale * np.sqrt(2 * np.pi))


def two_frames(*, seen: bool = True) -> Utterances:
    batch = Utterances.from_spectrum(
        torch.tensor([[[2.5, 0.2], [0.3, 1.1]]], dtype=torch.float64), torch.zeros(1, 2, 67, 67, dtype=torch.float64)
    )
    return batch if seen else batch.without_mouth()


def test_a_likelihood_that_depends_on_alpha_has_its_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """E_q[log p(s, z | 1) - log p(s, z | 0)] by quadrature, for q(z) and for q(z | alpha)."""
    monkeypatch.setattr(minvae_pyro.guides.test_time.base, "DRAWS", 4000)
    prior, batch = TwoDecoders(), two_frames()
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(40))
    weights = (weights / weights.sum())[:, None, None]
    for family, shape in ((MeanFieldGuide, (1, 2, 1)), (PointGuide, (1, 2, 1)), (MixtureUtteranceGuide, (2, 1, 2, 1))):
        guide = family().start(prior, batch, somewhere(1, 2, 1))
        mean, scale = somewhere(*shape)
        with torch.no_grad():
            guide.mean, guide.scale = mean, scale
        guide.update_alpha(prior, batch)
        expected = prior.logit.clone().expand(1, 2)
        for alpha, sign in ((0, -1), (1, 1)):
            m, s = (v.expand(2, 1, 2, 1)[alpha, ..., 0] for v in (mean, scale))
            grid = m + (0 if family is PointGuide else 1) * s * nodes[:, None, None]
            gained = (weights * prior.log_joint(grid, alpha, batch.power)).sum(0)
            expected = expected + sign * (gained if family is PointGuide else gained + s.log())
        torch.testing.assert_close(guide.alpha.logits, expected, rtol=0, atol=1e-7 if family is PointGuide else 0.15)


def test_with_the_posteriors_given_alpha_the_closed_form_is_the_posterior_of_alpha(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where log p(s | z, alpha) hardly depends on z, q(z | alpha) = p(z | alpha) and Bayes' rule says the rest."""
    monkeypatch.setattr(minvae_pyro.guides.test_time.base, "DRAWS", 4000)
    prior, batch = TwoDecoders(), two_frames()
    prior.slope = 1e-3 * prior.slope
    guide = MixtureUtteranceGuide().start(prior, batch, somewhere(1, 2, 1))
    with torch.no_grad():
        components = torch.tensor(prior.components, dtype=torch.float64)[..., None, None, None].expand(2, 2, 1, 2, 1)
        guide.mean, guide.scale = components[:, 0].clone(), components[:, 1].clone()
    grid = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None, None]
    evidence = [torch.trapezoid(prior.log_joint(grid, a, batch.power).exp(), grid, dim=0).log() for a in (0, 1)]
    guide.update_alpha(prior, batch)
    torch.testing.assert_close(guide.alpha.logits, prior.logit + evidence[1] - evidence[0], rtol=0, atol=1e-3)
    guide.update_alpha(prior, two_frames(seen=False))
    assert (guide.alpha.logits == 30).all()


class NoAlpha(SpeechPrior):
    """A prior of one's own: a random walk over frames, with no mixture variable."""

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        steps = []
        with plates.utterances:
            z = torch.zeros(len(utterances), 1, 3, dtype=torch.float64)
            for n in range(utterances.frames):
                z = pyro.sample(f"z_{n}", dist.Normal(z, 1.0).to_event(1))
                steps.append(z)
        return Latent(torch.cat(steps, -2))

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        return latent.z.exp()


@pytest.mark.parametrize("family", [MeanFieldGuide, PointGuide, MixtureUtteranceGuide])
@pytest.mark.parametrize("prior", [AudioVAE(3).double(), NoAlpha()])
def test_without_a_mixture_there_is_no_alpha(world: Any, prior: SpeechPrior, family: type[UtteranceGuide]) -> None:
    batch = world.batch(2, 3)
    guide = family().start(prior, batch, somewhere(), log_odds=torch.zeros(2, 3, dtype=torch.float64))
    assert "alpha" not in poutine.trace(guide).get_trace(batch).nodes
    assert not guide.update_alpha(prior, batch)
    assert guide.alpha is None
    assert guide.responsibility is None


def test_mean_field_sites(world: Any) -> None:
    batch = world.with_gaps(world.batch(2, 3))
    mean, scale = somewhere()
    odds = torch.randn(2, 3, dtype=torch.float64)
    guide = MeanFieldGuide().start(world.pair("constant")[0], batch, (mean, scale), log_odds=odds)
    trace = poutine.trace(guide).get_trace(batch)
    assert set(trace.stochastic_nodes) >= {"alpha", "z"}
    trace.compute_log_prob()
    z, alpha = (trace.nodes[name] for name in ("z", "alpha"))
    torch.testing.assert_close(z["fn"].base_dist.loc, mean)
    torch.testing.assert_close(z["fn"].base_dist.scale, scale)
    torch.testing.assert_close(z["log_prob"], dist.Normal(mean, scale).log_prob(z["value"]).sum(-1) * batch.mask)
    assert guide.responsibility is not None
    probability = torch.where(alpha["value"] == 1, guide.responsibility, 1 - guide.responsibility)
    torch.testing.assert_close(alpha["log_prob"].exp()[batch.mask], probability[batch.mask])
    torch.testing.assert_close(guide.responsibility, odds.sigmoid())
    assert alpha["infer"]["enumerate"] == "parallel"
    assert {name for name, _ in guide.named_parameters()} == {"mean_unconstrained", "scale_unconstrained"}


def test_odds_that_are_given_stay(world: Any) -> None:
    prior, _ = world.pair("constant")
    batch, odds = world.batch(2, 3), torch.randn(2, 3, dtype=torch.float64)
    given = MeanFieldGuide().start(prior, batch, somewhere(), log_odds=odds)
    assert not given.update_alpha(prior, batch)
    torch.testing.assert_close(given.alpha.logits, odds)
    # otherwise q(alpha) starts at p(alpha)
    free = MeanFieldGuide().start(prior, batch, somewhere())
    torch.testing.assert_close(free.responsibility, prior.alpha_prior(batch).mean.detach())


def test_draws(world: Any) -> None:
    prior, _ = world.pair("constant")
    batch, (mean, scale) = world.batch(2, 3), somewhere()
    draws = MeanFieldGuide().start(prior, batch, (mean, scale)).draw(4000)
    assert set(draws) == {"z"}
    assert draws["z"].shape == (4000, *SHAPE)
    torch.testing.assert_close(draws["z"].mean(0), mean, rtol=0, atol=0.1)
    torch.testing.assert_close(draws["z"].std(0), scale, rtol=0.1, atol=0)
    point = PointGuide().start(prior, batch, (mean, scale)).draw(4000)["z"]
    assert point.shape == (1, *SHAPE)
    assert torch.equal(point[0], mean)
    assert not draws["z"].requires_grad
    assert not point.requires_grad
    assert MixtureUtteranceGuide().start(prior, batch, (mean, scale)).draw(5)["z"].shape == (5, 2, *SHAPE)


@pytest.mark.parametrize("family", [MeanFieldGuide, MixtureUtteranceGuide])
def test_a_guide_serves_many_recordings(world: Any, family: type[MeanFieldGuide]) -> None:
    prior, _ = world.pair("constant")
    batch, (mean, scale), settings = world.batch(2, 3), somewhere(), family()
    guide = settings.start(prior, batch, (mean, scale))
    other = settings.start(prior, world.batch(1, 2), somewhere(1, 2, 3))
    with torch.no_grad():
        guide.mean += 1.0
    assert other.mean.shape[-3:] == (1, 2, 3)
    assert not torch.equal(guide.mean.expand(2, *SHAPE)[0], mean)
    assert not list(settings.named_parameters())
    assert settings.alpha is None


@pytest.mark.parametrize("kind", ["constant", "conditional"])
def test_the_mixture_starts_each_modality_by_its_own_encoder(world: Any, kind: str) -> None:
    prior, encoders = world.pair(kind)
    batch = world.with_gaps(world.batch(2, 3))
    guide = MixtureUtteranceGuide().start(prior, batch, somewhere(), encoders)
    for alpha, (mean, scale) in enumerate((encoders.encode_visual(batch), encoders.encode_audio(batch))):
        torch.testing.assert_close(guide.mean[alpha], mean)
        torch.testing.assert_close(guide.scale[alpha], scale)
    begin = somewhere()
    alike = MixtureUtteranceGuide().start(prior, batch, begin)
    torch.testing.assert_close((alike.mean[0], alike.scale[0]), begin)
    torch.testing.assert_close((alike.mean[1], alike.scale[1]), begin)


def test_the_mixture_without_alpha_is_the_mean_field(world: Any) -> None:
    prior = AudioVAE(3, SpectrumDecoder(3, 4, 5)).double()
    batch, begin = world.batch(2, 3), somewhere()
    losses, draws = [], []
    for family in (MeanFieldGuide, MixtureUtteranceGuide):
        guide = family().start(prior, batch, begin, world.mixture()[1])
        torch.manual_seed(3)
        losses.append(AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(prior, guide, batch))
        draws.append(guide.draw(2)["z"])
    assert losses[0] == losses[1]
    assert torch.equal(*draws)


@pytest.mark.parametrize("kind", ["constant", "conditional", "two decoders"])
def test_the_bound_of_the_mixture_by_hand(world: Any, kind: str) -> None:
    """sum_alpha r_alpha (log p(s | z_alpha, alpha) - KL(q(z | alpha) || p(z | alpha)) + log pi_alpha - log r_alpha)."""
    if kind == "two decoders":
        prior, batch = TwoDecoders(), two_frames()
        components = [tuple(torch.tensor(v, dtype=torch.float64) for v in pair) for pair in prior.components]
        prior_odds = prior.logit.expand(1, 2)
    else:
        prior, _ = world.pair(kind)
        batch = world.with_gaps(world.batch(2, 3))
        components = [prior.visual_component(batch), prior.audio_component(batch)]
        prior_odds = prior.alpha_prior(batch).logits
    shape = (*batch.mask.shape, prior.latent_dim)
    odds = torch.randn(shape[:2], dtype=torch.float64)
    guide = MixtureUtteranceGuide().start(prior, batch, somewhere(*shape), log_odds=odds)
    mean, scale = somewhere(2, *shape)
    with torch.no_grad():
        guide.mean, guide.scale = mean, scale
    torch.manual_seed(3)
    with pyro.validation_enabled(False):
        loss = AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(prior, guide, batch)
    torch.manual_seed(3)
    z = mean + scale * normal((2, *shape), mean)
    total = torch.zeros(shape[:2], dtype=torch.float64)
    for alpha, r in ((0, (-odds).sigmoid()), (1, odds.sigmoid())):
        p_mean, p_scale = components[alpha]
        divergence = (p_scale / scale[alpha]).log() - 0.5
        divergence = divergence + (scale[alpha] ** 2 + (mean[alpha] - p_mean) ** 2) / (2 * p_scale**2)
        variance = prior.speech_variance(Latent(z[alpha], torch.full_like(z[alpha][..., 0], alpha)), batch)
        likelihood = -(variance.log() + batch.power / variance).sum(-1)
        log_pi = torch.nn.functional.logsigmoid(prior_odds if alpha else -prior_odds)
        total = total + r * (likelihood - divergence.sum(-1) + log_pi - r.log())
    assert loss == pytest.approx(-(total * batch.mask).sum().item(), rel=1e-9)


def test_alpha_that_is_known_chooses_its_posterior(world: Any) -> None:
    batch = world.batch(2, 3)
    guide = MixtureUtteranceGuide().start(*world.pair("constant")[:1], batch, somewhere(), world.mixture()[1])
    alpha = torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    trace = poutine.trace(poutine.condition(guide, {"alpha": alpha})).get_trace(batch)
    z = trace.nodes["z"]["fn"].base_dist
    for n, frame in np.ndindex(2, 3):
        which = int(alpha[n, frame])
        torch.testing.assert_close(z.loc[n, frame], guide.mean[which, n, frame])
        torch.testing.assert_close(z.scale[n, frame], guide.scale[which, n, frame])


@pytest.mark.parametrize("kind", ["constant", "conditional"])
def test_the_likelihood_counts_where_z_alone_depends_on_alpha(world: Any, kind: str) -> None:
    """The decoder does not know alpha, yet each posterior of z explains the sound by itself."""
    prior, _ = world.pair(kind)
    batch = world.batch(2, 3)
    guide = MixtureUtteranceGuide().start(prior, batch, somewhere(2, 3, prior.latent_dim))
    mean, scale = somewhere(2, 2, 3, prior.latent_dim)
    scale = 1e-4 * scale  # so narrow that the expectation is the value at the mean
    with torch.no_grad():
        guide.mean, guide.scale = mean, scale
    guide.update_alpha(prior, batch)
    bounds = []
    for row, component in enumerate((prior.visual_component(batch), prior.audio_component(batch))):
        variance = prior.decoder(mean[row])
        likelihood = -(variance.log() + batch.power / variance).sum(-1)
        p_mean, p_scale = component
        divergence = (
            (p_scale / scale[row]).log() - 0.5 + (scale[row] ** 2 + (mean[row] - p_mean) ** 2) / (2 * p_scale**2)
        )
        bounds.append(likelihood - divergence.sum(-1))
    expected = (prior.alpha_prior(batch).logits + bounds[1] - bounds[0]).clamp(-30, 30)
    assert (expected.abs() < 29).any()
    torch.testing.assert_close(guide.alpha.logits, expected, rtol=1e-3, atol=1e-2)


def two_vaes() -> tuple[AudioVAE, ConditionalVAE]:
    audio = AudioVAE(L, SpectrumDecoder(L, 4, F))
    visual = ConditionalVAE(
        L, MouthFeatures(MouthPerceptron((3, 3), V)), ConcatenatingDecoder(L, V, 4, F), FeaturePerceptron(V, 4, L)
    )
    return audio, visual


def test_alpha_of_a_chain_is_weighed_over_all_assignments(world: Any) -> None:
    prior = SwitchingVAE(*two_vaes(), FixedMarkovAlphaPrior(0.8, 0.7, 0.4)).double()
    batch = world.batch(2, 4)
    point = somewhere(2, 4, L)
    guide = PointGuide().start(prior, batch, point)
    assert guide.update_alpha(prior, batch)
    assert isinstance(guide.alpha, BinaryMarkovChain)
    # of each VAE: log p(s, z) at the point
    joint_log_prob = []
    for part in (prior.visual, prior.audio):
        likelihood = part.likelihood(Latent(point[0]), batch).log_prob(batch.spectrum)
        joint_log_prob.append(likelihood + part.z_prior(batch).log_prob(point[0]))
    evidence = (joint_log_prob[1] - joint_log_prob[0]).detach().clamp(-30, 30)
    rows = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)[:, None].expand(-1, 2, -1)
    joint = (prior.alpha_prior(batch).log_prob(rows) + rows * evidence).sum(-1)
    posterior = (joint - joint.logsumexp(0)).exp()
    torch.testing.assert_close(guide.responsibility, (posterior[..., None] * rows).sum(0))


@pytest.mark.parametrize("kind", [MixtureOfVAEs, SwitchingVAE])
def test_patience_waits_and_then_chooses_as_the_others_do(world: Any, kind: Any) -> None:
    prior = kind(*two_vaes()).double()
    batch = world.with_gaps(world.batch(2, 4))
    begin = somewhere(2, 4, L)
    patient, prompt = PatientMixtureGuide(0.5), MixtureUtteranceGuide()
    one, other = (guide.start(prior, batch, begin) for guide in (patient, prompt))
    believed = prior.alpha_prior(batch).mean
    for done in (0.0, 0.3, 0.49):
        assert not one.update_alpha(prior, batch, done)
        torch.testing.assert_close(one.responsibility, believed)
    torch.manual_seed(1)
    assert one.update_alpha(prior, batch, 0.5)
    torch.manual_seed(1)
    assert other.update_alpha(prior, batch, 0.0)
    torch.testing.assert_close(one.responsibility, other.responsibility)
    assert (one.responsibility - believed).abs().max() > 0.01


@pytest.mark.parametrize("engine", [StochasticVariational, VariationalEM, FastVariational])
@pytest.mark.parametrize("iterations", [4, 10, 30])
def test_patience_is_a_share_of_the_run_of_any_engine(world: Any, engine: Any, iterations: int) -> None:
    prior = MixtureOfVAEs(*two_vaes()).double()
    spectrum = torch.randn(2, 3, F, dtype=torch.complex128)
    batch = Utterances.from_spectrum(spectrum, torch.rand(2, 3, 67, 67, dtype=torch.float64))
    given = prior.condition_on(batch)
    mixture = NoisyMixture(given, NMFNoise(2).start(batch), torch.ones(2, 1, 1, dtype=torch.float64))
    guide = PatientMixtureGuide(0.5).start(given, batch, somewhere(2, 3, L))
    believed = guide.responsibility
    chosen = []

    def note(iteration: int, most: int, objective: float) -> None:
        chosen.append(not torch.equal(guide.responsibility, believed))

    # so great a tolerance that the engine would stop as soon as it may
    objective = engine(iterations=iterations, tolerance=1e6)(mixture, guide, batch, callback=note)
    first = math.ceil(iterations / 2)
    assert chosen == [number >= first for number in range(1, len(objective) + 1)]
    assert len(objective) == min(iterations, max(first, 10))


def test_patience_that_is_no_share_is_refused() -> None:
    assert [PatientMixtureGuide(patience).patience for patience in (0, 1)] == [0, 1]
    for patience in (-0.1, 1.1, 40, math.nan):
        with pytest.raises(ValueError, match="share of an engine's run"):
            PatientMixtureGuide(patience)
