"""Guides of the deep Kalman filter: the training loss against a bound written frame by frame."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from minvae_pyro.guides import RecurrentGuide, StructuredGuide
from minvae_pyro.models import DeepKalmanFilter, MouthFeatures
from minvae_pyro.nn.recurrent import (
    DeepDecoder,
    Fusion,
    GatedTransition,
    RecurrentEncoder,
    StructuredEncoder,
    run_backward,
)
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.utterances import Utterances

SEED = 11
LATENT, FREQUENCIES, SIGHT = 3, 5, 2
SHAPES = [(2, 2), (1, 2), (2, 1), (1, 1), (3, 4)]


def make(kind: str, sight: bool) -> tuple[DeepKalmanFilter, RecurrentGuide]:
    def fusion(size: int) -> Fusion | None:
        return Fusion(size, SIGHT) if sight else None

    prior = DeepKalmanFilter(
        LATENT,
        GatedTransition(LATENT, 4, fusion=fusion(LATENT)),
        DeepDecoder(LATENT, [4], FREQUENCIES, fusion(4)),
        MouthFeatures(MouthPerceptron((4, 4), SIGHT)) if sight else None,
    )
    if kind == "recurrent":
        guide = RecurrentGuide(prior, RecurrentEncoder(FREQUENCIES, 4, 3, LATENT, fusion=fusion(4)))
    else:
        guide = StructuredGuide(prior, StructuredEncoder(FREQUENCIES, 4, 3, 2, 4, LATENT, fusion=fusion(4)))
    return prior.double(), guide.double()


def batch_of(world: Any, size: int, frames: int, gaps: bool) -> Utterances:
    batch = world.batch(size, frames)
    return world.with_gaps(batch) if gaps else batch


def by_hand(kind: str, prior: DeepKalmanFilter, guide: RecurrentGuide, batch: Utterances) -> Tensor:
    """-sum over frames of log p(s | z) - KL(q(z_n | ...) || p(z_n | z_{n-1})), at the draws of the same seed."""
    torch.manual_seed(SEED)
    noise = torch.randn(*batch.mask.shape, LATENT, dtype=torch.float64)
    encoder, total = guide.encoder, torch.zeros((), dtype=torch.float64)
    hidden = torch.tanh(encoder.hidden((batch.noisy_power + 1e-10).log()))
    if prior.visual_features is not None:
        hidden = encoder.fusion(hidden, prior.visual_features(batch))
    ahead = run_backward(encoder.backward_in_time, hidden, batch.mask)
    for b in range(len(batch)):
        previous = torch.zeros(LATENT, dtype=torch.float64)
        for n in range(int(batch.mask[b].sum())):
            if kind == "structured":
                features = torch.tanh(encoder.narrow[0]((encoder.state(previous) + ahead[b, n]) / 2))
            else:
                past, _ = encoder.forward_in_time(hidden[b, None, : n + 1])
                features = torch.cat([hidden[b, n], past[0, -1], ahead[b, n]])
            mean, log_variance = encoder.head.mean(features), encoder.head.log_variance(features)
            posterior = Normal(mean, (log_variance / 2).exp())
            z = posterior.mean + posterior.stddev * noise[b, n]
            looks = []
            if prior.visual_features is not None:
                seen, _ = prior.visual_features.network(batch.mouth[b, n], batch.mouth_seen[b, n])
                looks = [seen * batch.mouth_seen[b, n]]
            variance = prior.decoder(z, *looks)
            likelihood = -(variance.log() + batch.power[b, n] / variance).sum()
            divergence = kl_divergence(posterior, Normal(*prior.transition(previous, *looks))).sum()
            total = total - likelihood + divergence
            previous = z
    return total


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("size", "frames"), SHAPES)
@pytest.mark.parametrize("sight", [False, True])
@pytest.mark.parametrize("kind", ["recurrent", "structured"])
def test_loss_and_gradients_are_those_of_the_bound_written_by_hand(
    world: Any, kind: str, sight: bool, size: int, frames: int, gaps: bool
) -> None:
    prior, guide = make(kind, sight)
    batch = batch_of(world, size, frames, gaps)
    torch.manual_seed(SEED)
    found = AnalyticTraceEnum_ELBO(max_plate_nesting=2).differentiable_loss(prior, guide, batch)
    expected = by_hand(kind, prior, guide, batch)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    parameters = [*prior.parameters(), *guide.parameters()]
    for one, other in zip(gradients(found, parameters), gradients(expected, parameters), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def gradients(loss: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


@pytest.mark.parametrize("kind", ["recurrent", "structured"])
def test_every_part_that_should_learn_gets_a_gradient(world: Any, kind: str) -> None:
    prior, guide = make(kind, sight=True)
    loss = AnalyticTraceEnum_ELBO(max_plate_nesting=2).differentiable_loss(prior, guide, world.batch(3, 4))
    named = [*prior.named_parameters(), *guide.named_parameters()]
    found = gradients(loss, [parameter for _, parameter in named])
    without = [name for (name, _), gradient in zip(named, found, strict=True) if not gradient.abs().sum() > 0]
    # of the mouth network only the mean is looked at
    assert without == [f"visual_features.network.head.log_variance.{part}" for part in ("weight", "bias")]


@pytest.mark.parametrize("kind", ["recurrent", "structured"])
def test_the_guide_does_not_own_the_prior(kind: str) -> None:
    _, guide = make(kind, sight=True)
    assert {name.split(".")[0] for name, _ in guide.named_parameters()} == {"encoder"}


def test_heard_follows_the_mean_of_the_posterior(world: Any) -> None:
    _, guide = make("structured", sight=False)
    batch = world.batch(2, 4)
    mean, scale = guide.encode_audio(batch)
    ahead = guide.encoder(batch.noisy_power, batch.mask)
    previous = torch.zeros(2, LATENT, dtype=torch.float64)
    for n in range(4):
        expected = guide.encoder.step(previous, ahead[:, n])
        torch.testing.assert_close((mean[:, n], scale[:, n]), expected)
        previous = mean[:, n]
    torch.testing.assert_close(guide.encode_visual(batch), (mean, scale))
    assert guide.gate_logits(batch) is None


@pytest.mark.parametrize("kind", ["recurrent", "structured"])
def test_seen_follows_the_mean_of_the_prior_and_hears_nothing(world: Any, kind: str) -> None:
    prior, guide = make(kind, sight=True)
    batch = world.with_gaps(world.batch(2, 4))
    mean, scale = guide.encode_visual(batch)
    features = prior.visual_features(batch)
    previous = torch.zeros(2, LATENT, dtype=torch.float64)
    for n in range(4):
        expected = prior.transition(previous, features[:, n])
        torch.testing.assert_close((mean[:, n], scale[:, n]), expected)
        previous = mean[:, n]
    deaf = batch.replace(noisy_power=torch.rand_like(batch.noisy_power))
    torch.testing.assert_close(guide.encode_visual(deaf), (mean, scale), rtol=0, atol=0)
