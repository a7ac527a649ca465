"""A tolerance ends a run early and changes nothing else; alpha is summed over, which equals drawing it many times."""

import math
from itertools import pairwise
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from minvae_pyro.guides import MeanFieldGuide, MixtureUtteranceGuide, PointGuide, UtteranceGuide
from minvae_pyro.inference import infer
from minvae_pyro.inference.engine import draw_latents, expectation, has_converged
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.models import Latent, SpeechPrior
from minvae_pyro.utterances import Plates, Utterances

RISING_TO_TEN = [float(min(n, 10)) for n in range(1, 31)]
FIRST = 10  # two windows of five
LATENT = 3


def stop_of(objective: list[float], tolerance: float) -> int | None:
    return next((n for n in range(1, len(objective) + 1) if has_converged(objective[:n], tolerance)), None)


# means of five: 9.4 and 10 after 17 values, 9.8 and 10 after 18, 10 and 10 after 19
@pytest.mark.parametrize(("tolerance", "stop"), [(math.inf, FIRST), (0.61, 17), (0.5, 18), (0.1, 19), (0.0, None)])
def test_the_stop_is_known_by_hand(tolerance: float, stop: int | None) -> None:
    assert stop_of(RISING_TO_TEN, tolerance) == stop


def test_noise_that_averages_out_does_not_stop_what_rises() -> None:
    # falls at every other step, but rises by 0.5 over five
    objective = [0.1 * n + (-1) ** n for n in range(40)]
    assert sum(later < earlier for earlier, later in pairwise(objective)) == 20
    assert stop_of(objective, 0.05) is None


def test_what_falls_has_converged_unless_nobody_asks() -> None:
    falling = [-float(n) for n in range(20)]
    assert stop_of(falling, 1e-9) == FIRST
    assert stop_of(falling, 0.0) is None
    assert stop_of([math.nan] * 20, 1.0) is None


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_stops_where_its_own_objective_says(noisy: Any, name: str) -> None:
    checkpoint, batch = noisy.checkpoint(), noisy.batch(2, 4)
    iterations: Any = {"iterations": 24}

    def run(tolerance: float) -> tuple[list[float], list[Any]]:
        reported: list[Any] = []
        engine: Any = ENGINES[name]
        found = infer(
            checkpoint, batch, engine=engine(tolerance=tolerance, **iterations), callback=lambda *a: reported.append(a)
        )
        return found.objective, reported

    whole, _ = run(0.0)
    assert len(whole) == 24
    # an oracle of its own: the rise between means of five neighbours
    means = torch.tensor(whole, dtype=torch.float64).unfold(0, 5, 1).mean(1)
    rises = (means[5:] - means[:-5]).tolist()
    ordered = sorted(rise for rise in rises if rise > 0) or [1e-6]
    middle = len(ordered) // 2
    tolerance = (ordered[middle - 1] + ordered[middle]) / 2
    expected = next((FIRST + n for n, rise in enumerate(rises) if rise < tolerance), 24)
    for asked, length in ((tolerance, expected), (math.inf, FIRST)):
        objective, reported = run(asked)
        assert objective == whole[:length]
        assert reported == [(n, 24, value) for n, value in enumerate(objective, 1)]


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("tolerance", [-1.0, math.nan])
def test_a_tolerance_below_zero_is_refused(name: str, tolerance: float) -> None:
    engine: Any = ENGINES[name]
    with pytest.raises(ValueError, match="tolerance"):
        engine(tolerance=tolerance)


class Labelled(SpeechPrior):
    """alpha changes the sign of the log-variance."""

    latent_dim = LATENT

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        with plates.every_frame():
            alpha = pyro.sample("alpha", dist.Bernoulli(torch.tensor(0.3, dtype=torch.float64)))
            z = pyro.sample("z", dist.Normal(torch.zeros(LATENT, dtype=torch.float64), 1.0).to_event(1))
        return Latent(z, alpha)

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        z, alpha = latent
        log_variance = z[..., :1] * (2 * alpha[..., None] - 1)
        return log_variance.exp().expand(*log_variance.shape[:-1], 6)


@pytest.mark.parametrize("mixed", [False, True])
def test_without_a_say_of_alpha_there_is_the_draw_alone(noisy: Any, mixed: bool) -> None:
    batch, prior = noisy.batch(2, 4), noisy.prior(mixed)
    guide = noisy.guide(batch, prior)
    torch.manual_seed(1)
    latent, weight = draw_latents(prior, guide, batch, 5)
    torch.manual_seed(1)
    assert weight is None
    assert latent.alpha is None
    assert torch.equal(latent.z, guide.draw(5)["z"])
    assert not latent.z.requires_grad
    assert torch.equal(expectation(latent.z, None), latent.z.mean(0))


@pytest.mark.parametrize("kind", [MeanFieldGuide, PointGuide, MixtureUtteranceGuide])
def test_with_a_say_of_alpha_every_draw_comes_under_both_values(noisy: Any, kind: type[UtteranceGuide]) -> None:
    batch, odds = noisy.batch(2, 4), torch.randn(2, 4, dtype=torch.float64)
    guide = noisy.guide(batch, Labelled(), kind, log_odds=odds)
    latent, weight = draw_latents(Labelled(), guide, batch, 5)
    draws = 1 if kind is PointGuide else 5
    assert latent.z.shape == (draws, 2, 2, 4, LATENT)
    assert weight is not None
    assert latent.alpha is not None
    torch.testing.assert_close(weight.sum((0, 1)), torch.ones(2, 4, dtype=torch.float64))
    audio = (latent.alpha == 1).expand(weight.shape)
    assert (audio.sum((0, 1)) == draws).all()
    torch.testing.assert_close((weight * audio).sum((0, 1)), odds.sigmoid())


@pytest.mark.parametrize("kind", [MeanFieldGuide, MixtureUtteranceGuide])
def test_the_sum_over_alpha_is_what_drawing_it_comes_to(noisy: Any, kind: type[UtteranceGuide]) -> None:
    batch, odds = noisy.batch(2, 2), torch.randn(2, 2, dtype=torch.float64)
    prior = Labelled()
    guide = noisy.guide(batch, prior, kind, log_odds=odds)
    with torch.no_grad():
        guide.mean = torch.randn_like(guide.mean)
        guide.scale = 0.05 * torch.ones_like(guide.scale)
    latent, weight = draw_latents(prior, guide, batch, 2000)
    summed = expectation(prior.speech_variance(latent, batch), weight)
    alpha = torch.bernoulli(odds.sigmoid().expand(20000, 2, 2))
    z = guide.z_given(alpha).sample((20000,)) if kind is MeanFieldGuide else guide.z_given(alpha).sample()
    drawn = prior.speech_variance(Latent(z, alpha), batch)
    error = drawn.std(0) / 20000**0.5 + 0.003
    assert ((summed - drawn.mean(0)).abs() < 4 * error).all()


def test_where_z_depends_on_alpha_every_draw_is_weighed_by_it(noisy: Any) -> None:
    """A say of alpha through z alone: the decoder does not know it, but each posterior of z has its share."""
    batch, prior, odds = noisy.batch(2, 4), noisy.prior(True), torch.randn(2, 4, dtype=torch.float64)
    guide = noisy.guide(batch, prior, MixtureUtteranceGuide, log_odds=odds)
    with torch.no_grad():
        guide.mean = torch.stack([torch.zeros_like(guide.mean[0]), torch.ones_like(guide.mean[0])])
        guide.scale = 1e-6 * torch.ones_like(guide.scale)
    latent, weight = draw_latents(prior, guide, batch, 3)
    assert latent.alpha is None
    assert latent.z.shape[:4] == (3, 2, 2, 4)
    assert weight is not None
    mean = expectation(latent.z, weight)
    torch.testing.assert_close(mean, odds.sigmoid()[..., None].expand_as(mean), rtol=0, atol=1e-5)
