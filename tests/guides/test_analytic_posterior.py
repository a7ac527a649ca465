"""Where the posterior is known: a linear Gaussian decoder, fitted by SVI."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, TraceEnum_ELBO
from pyro.optim import ClippedAdam
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from minvae_pyro.guides import Evidence, MeanFieldGuide, MixtureGuide, Responsibility
from minvae_pyro.models import ConditionalMinVAE, MinVAE
from minvae_pyro.nn.cached import Precomputed
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.utterances import Utterances

LATENT, FREQUENCIES, SPREAD = 2, 4, 0.7


class LinearGaussian(MinVAE):
    """The mixture prior with s | z ~ N(A z, spread^2); columns of A are orthogonal, so posteriors are diagonal."""

    def __init__(self) -> None:
        super().__init__(LATENT)
        columns = torch.linalg.qr(torch.randn(FREQUENCIES, LATENT, dtype=torch.float64)).Q
        self.map = columns * torch.tensor([1.0, 0.5], dtype=torch.float64)
        self.audio_component.mean.data = torch.tensor([0.5, -1.0])
        self.visual_component.mean.data = torch.tensor([-0.5, 0.3])
        self.visual_component.log_scale.data = torch.tensor(-0.4)
        self.alpha_prior.logit.data = torch.tensor(0.4)
        self.double().eval().requires_grad_(False)

    def forward(self, utterances: Utterances) -> Tensor:
        plates = utterances.plates()
        z = self.latent(utterances, plates).z
        with plates.every_frame():
            likelihood = dist.Normal(z @ self.map.T, SPREAD).to_event(1)
            return pyro.sample("s", likelihood, obs=utterances.spectrum)

    def component(self, alpha: int, utterances: Utterances) -> dist.Normal:
        return self.z_prior(torch.full(utterances.mask.shape, float(alpha)), utterances).base_dist

    def posterior(self, alpha: int, utterances: Utterances) -> tuple[Tensor, Tensor]:
        """Mean and scale of p(z | alpha, s): precisions and weighted means add up."""
        prior = self.component(alpha, utterances)
        precision = prior.scale**-2 + self.map.square().sum(0) / SPREAD**2
        mean = (prior.loc / prior.scale**2 + utterances.spectrum @ self.map / SPREAD**2) / precision
        return mean, precision**-0.5

    def evidence(self, alpha: int, utterances: Utterances) -> Tensor:
        """log p(s | alpha), (B, N), of the Gaussian with z integrated out."""
        prior = self.component(alpha, utterances)
        covariance = self.map @ torch.diag_embed(prior.scale**2) @ self.map.T
        covariance = covariance + SPREAD**2 * torch.eye(FREQUENCIES, dtype=torch.float64)
        return MultivariateNormal(prior.loc @ self.map.T, covariance).log_prob(utterances.spectrum)


class ConditionalLinearGaussian(LinearGaussian):
    """The same with the visual component set by the mouth, frame by frame."""

    def __init__(self) -> None:
        super().__init__()
        mean = torch.randn(1, 2, LATENT, dtype=torch.float64)
        self.visual_component = Precomputed((mean, 0.4 + torch.rand_like(mean))).eval()


class Free(nn.Module):
    """A posterior of each frame, the same in all utterances, that is no function of anything."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(2, LATENT, dtype=torch.float64))
        self.log_scale = nn.Parameter(torch.zeros(2, LATENT, dtype=torch.float64))

    def forward(self, utterances: Utterances) -> tuple[Tensor, Tensor]:
        shape = (len(utterances), 2, LATENT)
        return self.mean.expand(shape), self.log_scale.exp().expand(shape)


class FreeResponsibility(Responsibility):
    def __init__(self) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, utterances: Utterances, evidence: Evidence) -> Tensor:
        return self.logit.expand(utterances.mask.shape)


def recording(copies: int) -> Utterances:
    """Two frames; copies average the noise of the gradient away."""
    signal = torch.randn(2, FREQUENCIES, dtype=torch.float64).expand(copies, 2, FREQUENCIES)
    # values of both signs: this toy scores them as they are
    return Utterances.from_spectrum(signal, torch.zeros((), dtype=torch.float64).expand(copies, 2, 67, 67))


def fit(model: Any, guide: Any, utterances: Utterances) -> None:
    optimiser = ClippedAdam({"lr": 0.1, "lrd": 0.01 ** (1 / 150)})
    svi = SVI(model, guide, optimiser, AnalyticTraceEnum_ELBO(max_plate_nesting=2))
    with pyro.validation_enabled(False):
        for _ in range(150):
            svi.step(utterances)


PRIORS = pytest.mark.parametrize("prior", [LinearGaussian, ConditionalLinearGaussian])


@PRIORS
def test_svi_recovers_posterior_and_responsibility(prior: type[LinearGaussian]) -> None:
    model, utterances = prior(), recording(100)
    guide = MixtureGuide(model, Free(), Free(), FreeResponsibility())
    fit(model, guide, utterances)
    mean, scale = guide.posteriors(utterances)
    for alpha in (0, 1):
        expected_mean, expected_scale = model.posterior(alpha, utterances)
        torch.testing.assert_close(mean[alpha], expected_mean.expand_as(mean[alpha]), rtol=0, atol=0.02)
        torch.testing.assert_close(scale[alpha], expected_scale.expand_as(mean[alpha]), rtol=0.03, atol=0)
    odds = 0.4 + model.evidence(1, utterances) - model.evidence(0, utterances)
    torch.testing.assert_close(guide.responsibility.logit.sigmoid(), odds.sigmoid()[0], rtol=0, atol=0.02)


@PRIORS
def test_at_the_posterior_the_sampled_bound_is_the_evidence_of_every_draw(prior: type[LinearGaussian]) -> None:
    model, utterances = prior(), recording(1)
    audio, visual = Free(), Free()
    for alpha, free in enumerate((visual, audio)):
        mean, scale = model.posterior(alpha, utterances)
        free.mean.data, free.log_scale.data = mean[0], scale.log().expand(1, 2, LATENT)[0]
    rule = FreeResponsibility()
    rule.logit.data = (0.4 + model.evidence(1, utterances) - model.evidence(0, utterances))[0]
    guide = MixtureGuide(model, audio, visual, rule)
    log_pi = [math.log(1 / (1 + math.exp(0.4))), math.log(1 / (1 + math.exp(-0.4)))]
    evidence = torch.stack([log_pi[alpha] + model.evidence(alpha, utterances) for alpha in (0, 1)]).logsumexp(0).sum()
    for _ in range(3):
        loss = TraceEnum_ELBO(max_plate_nesting=2).loss(model, guide, utterances)
        assert loss == pytest.approx(-evidence.item(), abs=1e-7)
    # the analytic form is right on average only
    analytic = AnalyticTraceEnum_ELBO(max_plate_nesting=2)
    losses = torch.tensor([analytic.loss(model, guide, utterances) for _ in range(100)])
    assert abs(losses.mean() + evidence) < 4 * losses.std() / 10
    assert losses.std() > 0.01


def test_the_guide_of_test_time_recovers_the_posterior_of_a_single_component() -> None:
    # copies along the frames, for those along the recordings share their draws
    model, utterances = LinearGaussian(), Utterances.from_spectrum(recording(100).spectrum.transpose(0, 1))
    # with both components alike z does not know of alpha, and the mean-field family holds the posterior
    model.visual_component = model.audio_component
    utterances.mouth_seen[:] = True
    start = torch.zeros(2, 100, LATENT, dtype=torch.float64)
    guide = MeanFieldGuide().start(model, utterances, (start, start + 1))
    fit(model, guide, utterances)
    guide.update_alpha(model, utterances)
    mean, scale = model.posterior(1, utterances)
    # every copy is fitted by itself: their mean has no noise left
    torch.testing.assert_close(guide.mean.detach().mean(1), mean[:, 0], rtol=0, atol=0.02)
    torch.testing.assert_close(guide.scale.detach().mean(1), scale.expand(2, 100, LATENT)[:, 0], rtol=0.03, atol=0)
    odds = guide.alpha.logits
    torch.testing.assert_close(odds, torch.full_like(odds, 0.4), rtol=1e-6, atol=0)


def test_the_conditional_model_uses_a_standard_normal_where_the_mouth_is_unseen() -> None:
    prior = ConditionalMinVAE(LATENT)
    prior.eval()
    utterances = Utterances.from_spectrum(torch.rand(1, 3, FREQUENCIES), torch.rand(1, 3, 67, 67))
    utterances.mouth_seen[0, 1] = False
    with torch.no_grad():
        visual = prior.z_prior(torch.zeros(1, 3), utterances).base_dist
    torch.testing.assert_close(visual.loc[0, 1], torch.zeros(LATENT))
    torch.testing.assert_close(visual.scale[0, 1], torch.ones(LATENT))
    assert (visual.loc[0, [0, 2]] != 0).all()
