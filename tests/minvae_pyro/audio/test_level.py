"""The level of a sound, and what digital silence does to it: nothing."""

import pytest
import torch

from minvae_pyro.audio.level import level, sounding_level


def test_level() -> None:
    assert level(torch.tensor([3.0, -4.0, 0.0, 0.0])) == pytest.approx(2.5)
    assert level(torch.full((4,), 1e-20)) == pytest.approx(1e-20)
    learnt = torch.ones(400, requires_grad=True)
    assert level(learnt) == sounding_level(learnt) == 1.0


@pytest.mark.parametrize("silence", [160, 8000, 320_000])
def test_silence_around_a_sound_changes_nothing(silence: int) -> None:
    sound = torch.randn(16000, generator=torch.Generator().manual_seed(0))
    zeros = torch.zeros(silence)
    assert sounding_level(torch.cat([zeros, sound, zeros])) == pytest.approx(level(sound), rel=1e-6)


@pytest.mark.parametrize("samples", [1, 159, 161, 16000])
def test_where_all_sounds_it_is_the_level(samples: int) -> None:
    sound = torch.randn(samples, generator=torch.Generator().manual_seed(1)) + 0.1
    assert sounding_level(sound) == pytest.approx(level(sound), rel=1e-6)


@pytest.mark.parametrize("loudness", [1e-6, 1.0, 1e6])
def test_a_gate_that_closes_is_no_sound_and_a_pause_is_one(loudness: float) -> None:
    sound = torch.randn(16000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for decibels, sounds in ((-86, False), (-74, True)):
        soft = 10 ** (decibels / 20) * sound[:8000]
        found = sounding_level(loudness * torch.cat([soft, sound]))
        # a third of the blocks is soft, and their power next to nothing
        assert found == pytest.approx(loudness * level(sound) * ((2 / 3) ** 0.5 if sounds else 1), rel=0.01)


def test_a_gate_within_a_sound_is_found_wherever_its_blocks_end() -> None:
    sound = torch.ones(1600)
    sound[320:480] = 0
    sound[480:640] = 1e-5
    assert sounding_level(sound) == pytest.approx(1.0)
    # what is left of the last block is not counted then
    assert sounding_level(torch.cat([sound, torch.full((159,), 3.0)])) == pytest.approx(1.0)
    assert sounding_level(torch.cat([sound, torch.full((160,), 3.0)])) == pytest.approx((17 / 9) ** 0.5)


def test_silence_has_no_level() -> None:
    assert sounding_level(torch.zeros(1000)) == 0.0
