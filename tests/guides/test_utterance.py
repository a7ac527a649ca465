"""Guides of test time and their closed form for alpha."""

from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import kl_divergence

from minvae_pyro.guides import MeanFieldGuide, PointGuide, component_log_odds
from minvae_pyro.models import AudioVAE, SpeechPrior, sharpen
from minvae_pyro.utterances import Plates, Utterances

SHAPE = (2, 3, 3)  # utterances, frames, L


def start() -> tuple[Tensor, Tensor]:
    return torch.randn(SHAPE, dtype=torch.float64), 0.2 + torch.rand(SHAPE, dtype=torch.float64)


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
    mean, scale = start()
    guide = family(mean, scale, mixture=True)
    spread = scale if family is MeanFieldGuide else torch.zeros_like(scale)
    logit = component_log_odds(prior, guide.z_posterior(), batch)
    audio, visual = (c(batch) for c in (prior.audio_component, prior.visual_component))
    expected = (
        prior.mixing.logit.item() + expected_log_prior(mean, spread, audio) - expected_log_prior(mean, spread, visual)
    )
    expected = np.where(batch.mouth_seen, np.clip(expected, -30, 30), 30.0)
    np.testing.assert_allclose(logit.detach().numpy(), expected, rtol=1e-6, atol=1e-6)
    assert not logit.requires_grad


@pytest.mark.parametrize("kind", ["constant", "conditional"])
def test_log_odds_maximise_the_bound_over_r(world: Any, kind: str) -> None:
    """At the closed form the enumerated ELBO of the guide has no slope in r, and bends down."""
    prior, _ = world.pair(kind)
    batch = world.batch(2, 3)
    guide = PointGuide(*start(), mixture=True)
    guide.refresh(prior, batch)
    best = guide.logit.clone()
    assert best.abs().max() < 30

    def bound(logit: Tensor) -> Tensor:
        guide.logit = logit
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
    constant, _ = world.pair("constant")
    constant.audio_component.mean.data += 60.0
    # without a mouth the conditional component is the standard normal, but sharpening tells it from the other
    conditional, _ = world.pair("conditional")
    for prior in (constant, sharpen(conditional, 1e-4)):
        unseen = kl_divergence(narrow, prior.z_prior(torch.zeros(2, 3), batch))
        heard = kl_divergence(narrow, prior.z_prior(torch.ones(2, 3), batch))
        assert (unseen < heard - 10).all()
        assert (component_log_odds(prior, narrow, batch) == 30).all()


class NoAlpha(SpeechPrior):
    """A prior of one's own: a random walk over frames, with no mixture variable."""

    def latent(self, utterances: Utterances, plates: Plates) -> Tensor:
        steps = []
        with plates.utterances:
            z = torch.zeros(len(utterances), 1, 3, dtype=torch.float64)
            for n in range(utterances.frames):
                z = pyro.sample(f"z_{n}", dist.Normal(z, 1.0).to_event(1))
                steps.append(z)
        return torch.cat(steps, -2)


def test_a_prior_without_alpha_has_no_log_odds(world: Any) -> None:
    batch = world.batch(2, 3)
    posterior = dist.Normal(*start()).to_event(1)
    assert component_log_odds(AudioVAE(3).double(), posterior, batch) is None
    assert component_log_odds(NoAlpha(), posterior, batch) is None


def test_mean_field_sites(world: Any) -> None:
    batch = world.with_gaps(world.batch(2, 3))
    mean, scale = start()
    guide = MeanFieldGuide(mean, scale, mixture=True)
    guide.logit = torch.randn(2, 3, dtype=torch.float64)
    trace = poutine.trace(guide).get_trace(batch)
    assert set(trace.stochastic_nodes) >= {"alpha", "z"}
    trace.compute_log_prob()
    z, alpha = (trace.nodes[name] for name in ("z", "alpha"))
    torch.testing.assert_close(z["fn"].base_dist.loc, mean)
    torch.testing.assert_close(z["fn"].base_dist.scale, scale)
    torch.testing.assert_close(z["log_prob"], dist.Normal(mean, scale).log_prob(z["value"]).sum(-1) * batch.mask)
    probability = torch.where(alpha["value"] == 1, guide.responsibility, 1 - guide.responsibility)
    torch.testing.assert_close(alpha["log_prob"].exp()[batch.mask], probability[batch.mask])
    assert alpha["infer"]["enumerate"] == "parallel"
    assert {name for name, _ in guide.named_parameters()} == {"mean_unconstrained", "scale_unconstrained"}


def test_without_a_mixture_there_is_no_alpha(world: Any) -> None:
    guide = MeanFieldGuide(*start(), mixture=False)
    assert "alpha" not in poutine.trace(guide).get_trace(world.batch(2, 3)).nodes
    assert guide.responsibility is None
    before = guide.logit.clone()
    guide.refresh(AudioVAE(3).double(), world.batch(2, 3))
    assert torch.equal(guide.logit, before)


def test_draws() -> None:
    mean, scale = start()
    draws = MeanFieldGuide(mean, scale, mixture=True).draw(4000)
    assert draws.shape == (4000, *SHAPE)
    torch.testing.assert_close(draws.mean(0), mean, rtol=0, atol=0.1)
    torch.testing.assert_close(draws.std(0), scale, rtol=0.1, atol=0)
    point = PointGuide(mean, scale, mixture=True).draw(4000)
    assert point.shape == (1, *SHAPE)
    assert torch.equal(point[0], mean)
    assert not draws.requires_grad
    assert not point.requires_grad


def test_the_start_given_is_copied() -> None:
    mean, scale = start()
    guide = MeanFieldGuide(mean, scale, mixture=False)
    with torch.no_grad():
        guide.mean += 1.0
    assert not torch.equal(guide.mean, mean)
