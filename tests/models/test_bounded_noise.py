"""Noise that is bounded by the pauses: the bound against one found by hand, and what it is for."""

import pytest
import torch

from minvae_pyro.models import NMFNoise, PauseBoundedNoise
from minvae_pyro.models.bounded_noise import pause_level
from minvae_pyro.utterances import Utterances, concatenate

BINS = 7


def recording(frames: int, seed: int = 0) -> Utterances:
    generator = torch.Generator().manual_seed(seed)
    return Utterances.from_spectrum(torch.rand(1, frames, BINS, generator=generator, dtype=torch.float64) + 0.01)


def by_hand(power: torch.Tensor, observed: torch.Tensor) -> list[float]:
    """The quietest tenth of a recording (N, F), cell by cell."""
    frames, bins = power.shape
    found = []
    for f in range(bins):
        smooth = []
        for n in range(frames):
            if not observed[n, f]:
                continue
            near = [
                float(power[m, g])
                for m in range(max(0, n - 2), min(frames, n + 3))
                for g in range(max(0, f - 2), min(bins, f + 3))
                if observed[m, g]
            ]
            smooth.append(sum(near) / len(near))
        found.append(sorted(smooth)[max(1, int(0.1 * len(smooth))) - 1] if smooth else 0.0)
    return found


@pytest.mark.parametrize("frames", [3, 12, 47])
@pytest.mark.parametrize("holes", [False, True])
def test_the_level_of_the_pauses_is_the_quietest_tenth(frames: int, holes: bool) -> None:
    one = recording(frames)
    observed = torch.rand(one.spectrum.shape, generator=torch.Generator().manual_seed(1)) > 0.3 * holes
    observed[..., 3] &= not holes
    found = pause_level(one.replace(observed=observed))
    torch.testing.assert_close(found[0].tolist(), by_hand(one.power[0], observed[0]))


def test_padding_and_company_do_not_matter() -> None:
    short, long = recording(9, 1), recording(30, 2)
    together = pause_level(concatenate([short, long]))
    torch.testing.assert_close(together, torch.cat([pause_level(short), pause_level(long)]))


@pytest.mark.parametrize("bound", [0.5, 2.0])
def test_the_steady_part_stays_within_its_bound_and_the_rest_does_not(bound: float) -> None:
    one = recording(40)
    noise = PauseBoundedNoise(1, bound).start(one, torch.Generator().manual_seed(0))
    limit = bound * pause_level(one)
    for _ in range(60):
        variance = noise(one)
        noise.m_step(lambda v=variance: (one.power / v.square(), 1 / v))
        assert (noise.steady <= limit * (1 + 1e-12)).all()
    # without speech the mean is what fits, more than the pauses have
    torch.testing.assert_close(noise(one).mean(1), one.power.mean(1), rtol=0.1, atol=0)


@pytest.mark.parametrize("bound", [1e-3, 1e3])
def test_one_step_takes_the_steady_part_to_the_peak_of_its_minoriser_within_the_bound(bound: float) -> None:
    one = recording(6)
    noise = PauseBoundedNoise(1, bound).start(one, torch.Generator().manual_seed(0))
    before, variance = noise.steady.clone(), noise(one)
    noise.m_step(lambda: (one.power / variance.square(), 1 / variance))
    for f in range(BINS):
        rise, fall = (float(part[0, :, f].sum()) for part in (one.power / variance.square(), 1 / variance))
        # the likelihood lies above this sum, which touches it where the parameter stands (arXiv 1902.01605)
        values = torch.logspace(-9, 2, 20001, dtype=torch.float64)
        values = values[values <= float(noise.limit[0, f])]
        height = -rise * float(before[0, f]) ** 2 / values - fall * values
        assert float(noise.steady[0, f]) == pytest.approx(float(values[height.argmax()]), rel=2e-3)


def test_without_a_steady_part_it_is_nmf() -> None:
    one = recording(20)
    bounded, free = (
        kind.start(one, torch.Generator().manual_seed(0)) for kind in (PauseBoundedNoise(3, 1e-12), NMFNoise(3))
    )
    for noise in (bounded, free):
        for _ in range(5):
            variance = noise(one)
            noise.m_step(lambda v=variance: (one.power / v.square(), 1 / v))
    torch.testing.assert_close(bounded(one), free(one), rtol=1e-5, atol=1e-8)


def test_a_window_that_moves_on_has_a_bound_of_its_own() -> None:
    before, after = recording(30, 1), recording(32, 2)
    noise = PauseBoundedNoise().start(before, torch.Generator().manual_seed(0))
    moved = noise.moved(after, 5)
    torch.testing.assert_close(moved.limit, 2 * pause_level(after))
    assert (moved.steady <= moved.limit).all()
    assert moved.activations.shape == (1, 1, 32)


@pytest.mark.parametrize(("rank", "bound"), [(0, 2.0), (1, 0.0), (1, -1.0)])
def test_impossible_settings_are_refused(rank: int, bound: float) -> None:
    with pytest.raises(ValueError, match="noise needs a"):
        PauseBoundedNoise(rank, bound)
