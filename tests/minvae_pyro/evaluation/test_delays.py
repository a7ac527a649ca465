import math

import pytest
import torch
from torch import Tensor

from minvae_pyro.evaluation.delays import aligned, delay, delay_note
from minvae_pyro.evaluation.scores import si_sdr
from minvae_pyro.synthetic.talker import speak

RATE = 16000


def shifted(sound: Tensor, samples: int) -> Tensor:
    return torch.roll(torch.nn.functional.pad(sound, (RATE, RATE)), samples)[RATE:-RATE]


def noisy(sound: Tensor, seed: int, ratio: float = 10.0) -> Tensor:
    noise = torch.randn(sound.shape, generator=torch.Generator().manual_seed(seed))
    return sound + noise * sound.norm() / noise.norm() * 10 ** (-ratio / 20)


def brute_force(clean: Tensor, estimate: Tensor, farthest: int) -> int:
    lags = sorted(range(-farthest, farthest + 1), key=abs)
    return max(lags, key=lambda lag: float((clean.double() * shifted(estimate.double(), -lag)).sum().abs()))


@pytest.mark.parametrize("seed", range(4))
def test_the_delay_is_that_of_a_search(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    clean, estimate = (torch.randn(300, generator=generator) for _ in range(2))
    assert delay(clean, estimate, 40) == brute_force(clean, estimate, 40)


@pytest.mark.parametrize("milliseconds", [-400.0, -10.0, -1.5, 0.0, 0.5, 1.5, 10.0, 250.0])
def test_what_is_late_is_said_in_milliseconds(milliseconds: float) -> None:
    clean = speak(2.0, 1)
    estimate = -0.3 * shifted(noisy(clean, 0), round(milliseconds * RATE / 1000))
    note = delay_note(clean, estimate, RATE)
    if abs(milliseconds) < 1:
        assert note == ""
    else:
        late = "late" if milliseconds > 0 else "early"
        assert note.startswith(f"{abs(milliseconds):.1f} ms {late}: SI-SDR ")
        promised = float(note.split("SI-SDR ")[1].split(" dB")[0])
        assert promised == pytest.approx(
            float(si_sdr(clean, shifted(estimate, -round(milliseconds * RATE / 1000)))), abs=0.06
        )
        assert promised > float(si_sdr(clean, estimate)) + 3


@pytest.mark.parametrize("seconds", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("seed", range(5))
def test_sounds_that_have_nothing_in_common_are_not_late(seconds: float, seed: int) -> None:
    assert delay_note(speak(seconds, seed), speak(seconds, seed + 50), RATE) == ""


def test_a_poor_estimate_in_its_place_is_not_late() -> None:
    clean = speak(2.0, 2)
    echo = clean + 0.9 * shifted(clean, 800)
    for estimate in (noisy(clean, 1, -8.0), echo, torch.zeros_like(clean)):
        assert delay_note(clean, estimate, RATE) == ""


def test_short_and_silent_sounds() -> None:
    assert delay(torch.ones(1), torch.ones(1), 100) == 0
    assert delay_note(torch.ones(3), torch.zeros(3), RATE) == ""
    assert aligned(torch.arange(4.0), 1).tolist() == [1, 2, 3, 0]
    assert aligned(torch.arange(4.0), -1).tolist() == [0, 0, 1, 2]
    assert math.isnan(float(si_sdr(torch.zeros(3), torch.ones(3))))
