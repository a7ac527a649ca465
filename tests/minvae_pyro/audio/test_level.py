"""The level of a sound, and what digital silence does to it: nothing."""

import pytest
import torch

from minvae_pyro.audio.level import level, sounding_level


def test_level() -> None:
    assert level(torch.tensor([3.0, -4.0, 0.0, 0.0])) == pytest.approx(2.5)
    assert level(torch.full((4,), 1e-20)) == pytest.approx(1e-20)


@pytest.mark.parametrize("silence", [160, 8000, 320_000])
def test_silence_around_a_sound_changes_nothing(silence: int) -> None:
    sound = torch.randn(16000, generator=torch.Generator().manual_seed(0))
    zeros = torch.zeros(silence)
    assert sounding_level(torch.cat([zeros, sound, zeros])) == pytest.approx(level(sound), rel=1e-6)


@pytest.mark.parametrize("samples", [1, 159, 161, 16000])
def test_where_all_sounds_it_is_the_level(samples: int) -> None:
    sound = torch.randn(samples, generator=torch.Generator().manual_seed(1)) + 0.1
    assert sounding_level(sound) == pytest.approx(level(sound), rel=1e-6)


def test_silence_has_no_level() -> None:
    assert sounding_level(torch.zeros(1000)) == 0.0
