"""The engine that does not trace; that its bound is the traced one is shown for every prior in the matrix of parts."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from minvae_pyro.guides import MeanFieldGuide, MixtureUtteranceGuide, PointGuide, SmoothedGuide
from minvae_pyro.inference import StochasticVariational
from minvae_pyro.inference.fast import CompiledBound, FastVariational, compiled
from minvae_pyro.models import NMFNoise, NoisyMixture
from minvae_pyro.models.noise import Statistics
from minvae_pyro.utterances import Utterances


def world(noisy: Any, kind: Any = MeanFieldGuide, mixed: bool = True) -> tuple[Utterances, NoisyMixture, Any]:
    """A batch whose second recording is a frame shorter, a mixture and a guide."""
    batch = noisy.batch()
    batch.mask[1, -1] = batch.mouth_seen[1, -1] = False
    prior = noisy.prior(mixed)
    return batch, noisy.mixture(batch, prior), noisy.guide(batch, prior, kind)


def run(engine: Any, mixture: NoisyMixture, guide: Any, batch: Utterances) -> list[float]:
    torch.manual_seed(9)
    return engine(mixture, guide, batch)


@pytest.mark.parametrize("kind", [PointGuide, SmoothedGuide])
def test_what_cannot_be_compiled_goes_through_svi(noisy: Any, kind: Any) -> None:
    batch, mixture, guide = world(noisy, kind)
    assert compiled(mixture, guide, batch) is None
    twins = copy.deepcopy((mixture, guide))
    objective = run(FastVariational(iterations=3, learning_rate=0.05), mixture, guide, batch)
    assert objective == run(StochasticVariational(iterations=3, learning_rate=0.05), *twins, batch)
    assert torch.equal(guide.mean, twins[1].mean)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_first_objective_is_that_of_svi(noisy: Any, mixed: bool) -> None:
    batch, mixture, guide = world(noisy, mixed=mixed)
    twins = copy.deepcopy((mixture, guide))
    traced = run(StochasticVariational(iterations=1, steps=1), *twins, batch)
    assert run(FastVariational(iterations=1, steps=1), mixture, guide, batch) == [pytest.approx(traced[0], rel=1e-12)]


@pytest.mark.parametrize("kind", [MeanFieldGuide, MixtureUtteranceGuide])
@pytest.mark.parametrize("mixed", [False, True])
def test_it_climbs_as_high_as_svi(noisy: Any, mixed: bool, kind: Any) -> None:
    batch, mixture, guide = world(noisy, kind, mixed)
    twins = copy.deepcopy((mixture, guide))
    objective = run(FastVariational(iterations=80), mixture, guide, batch)
    traced = run(StochasticVariational(iterations=80), *twins, batch)
    assert sum(objective[-30:]) / 30 > sum(traced[-30:]) / 30 - 0.5
    assert sum(traced[-30:]) / 30 > traced[0] + 2


def test_what_padding_shows_of_a_mouth_does_not_matter(noisy: Any) -> None:
    batch = noisy.batch()
    batch.mask[1, -1] = False  # its mouth is still shown: alpha is not decided there
    prior = noisy.prior()
    log_odds = torch.randn(*batch.mask.shape, dtype=torch.float64)
    mixture, guide = noisy.mixture(batch, prior), noisy.guide(batch, prior, log_odds=log_odds)
    twins = copy.deepcopy((mixture, guide))
    traced = run(StochasticVariational(iterations=1, steps=1), *twins, batch)
    assert run(FastVariational(iterations=1, steps=1), mixture, guide, batch) == [pytest.approx(traced[0], rel=1e-12)]


def test_the_divergence_of_alpha_follows_q_and_pi(noisy: Any) -> None:
    batch, mixture, guide = world(noisy)
    parts = compiled(mixture, guide, batch)
    assert parts is not None
    bound = CompiledBound(mixture, guide, batch, parts)
    assert bound.divergence == 0  # q(alpha) starts at p(alpha)
    constant = math.log(math.pi) * 6 * int(batch.mask.sum())
    assert float(bound.rest()) == pytest.approx(-constant)
    bound.update_alpha(1.0)
    r = guide.responsibility
    pi = (r * batch.mask).sum(1, keepdim=True) / batch.mask.sum(1, keepdim=True)
    by_hand = r * (r / pi).log() + (1 - r) * ((1 - r) / (1 - pi)).log()
    expected = (by_hand * batch.mask).nan_to_num().sum()
    assert expected > 1e-3
    torch.testing.assert_close(bound.divergence, expected)
    torch.testing.assert_close(bound.rest(), -constant - expected)


class Watched(NMFNoise):
    """Keeps what it is asked to fit."""

    def m_step(self, statistics: Statistics) -> None:
        self.seen = statistics()


def test_the_m_step_fits_the_variances_of_the_last_step(noisy: Any) -> None:
    batch, mixture, guide = world(noisy)
    mixture.noise = Watched(2).at(spectra=mixture.noise.spectra, activations=mixture.noise.activations)
    parts = compiled(mixture, guide, batch)
    assert parts is not None
    bound = CompiledBound(mixture, guide, batch, parts)
    gain, noise = mixture.gain, mixture.noise(batch)
    step = bound.step(noise, bound.weight)
    bound.m_step(step)
    speech = step.speech.requires_grad_()
    factor = torch.ones(2, 1, 1, dtype=torch.float64, requires_grad=True)
    level = torch.ones_like(noise, requires_grad=True)
    score = -likelihood(batch, gain * factor * speech.detach() + level * noise)
    by_gain, by_noise = torch.autograd.grad(score, (factor, level))
    ratio, inverse = mixture.noise.seen
    torch.testing.assert_close(noise * (inverse - ratio), by_noise)
    assert ratio[1, -1].eq(0).all()
    assert inverse[1, -1].eq(0).all()
    # the gain rises where the likelihood rises with it
    assert torch.equal(mixture.gain > gain, by_gain < 0)


def likelihood(batch: Utterances, variance: Tensor) -> Tensor:
    return (-((math.pi * variance).log() + batch.power / variance) * batch.mask[..., None]).sum()


def test_same_seed_same_bits_and_padding_does_not_matter(noisy: Any) -> None:
    batch, mixture, guide = world(noisy)
    results = []
    for filling in (0.0, 0.0, 5.0):
        twin, fitted = copy.deepcopy((mixture, guide))
        spectrum = batch.spectrum.clone()
        spectrum[1, -1] = filling
        objective = run(FastVariational(iterations=4), twin, fitted, batch.replace(spectrum=spectrum))
        results.append((objective, fitted.mean[0].detach(), twin.gain))
    assert results[0][0] == results[1][0]
    assert results[2][0] == pytest.approx(results[0][0], rel=1e-12)
    for result in results[1:]:
        torch.testing.assert_close(result[1:], results[0][1:])


def test_the_rate_falls_to_the_last_one() -> None:
    engine = FastVariational(iterations=11, learning_rate=0.3, last_rate=0.1)
    rates = [engine._rate(iteration) for iteration in range(1, 12)]
    assert rates == sorted(rates, reverse=True)
    assert [rates[0], rates[5], rates[-1]] == pytest.approx([0.3, 0.2, 0.1])


def test_a_tolerance_stops_it_and_callbacks_count(noisy: Any) -> None:
    batch, mixture, guide = world(noisy)
    seen: list[tuple[int, int, float]] = []
    objective = FastVariational(tolerance=1e9)(mixture, guide, batch, callback=lambda *call: seen.append(call))
    assert len(objective) == 10
    assert seen == [(number, 30, value) for number, value in enumerate(objective, 1)]
