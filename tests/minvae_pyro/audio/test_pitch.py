import math

import numpy as np
import pytest
import torch

from minvae_pyro.audio import pitch as pitch_module
from minvae_pyro.audio.pitch import pitch_of


def voice(hertz: torch.Tensor, rate: int) -> torch.Tensor:
    """Harmonics that fall by 6 dB an octave, of a fundamental given sample by sample."""
    phase = 2 * math.pi * hertz.double().cumsum(0) / rate
    harmonics = [(n * phase).sin() / n for n in range(1, 9)]
    return (0.1 * torch.stack(harmonics).sum(0)).float()


@pytest.mark.parametrize(("rate", "level"), [(16000, 1.0), (8000, 1e-3), (44100, 1.0)])
def test_a_glide_is_followed_at_any_rate_and_level(rate, level):
    glide = torch.linspace(100, 200, rate)
    found = pitch_of(level * voice(glide, rate), rate)
    assert len(found.times) == 101
    np.testing.assert_allclose(found.times, np.arange(101) / 100)
    inner = slice(5, -5)
    assert found.voiced[inner].all()
    expected = 100 + 100 * found.times
    np.testing.assert_allclose(found.frequency[inner], expected[inner], rtol=0.03)


def test_there_is_no_pitch_in_silence_and_in_noise():
    rate = 16000
    noise = 0.1 * torch.randn(rate // 2, generator=torch.Generator().manual_seed(0))
    sound = torch.cat([torch.zeros(rate // 2), voice(torch.full((rate // 2,), 150.0), rate), noise])
    voiced = pitch_of(sound, rate).voiced
    assert not voiced[:45].any()
    assert voiced[55:95].all()
    assert voiced[105:].mean() < 0.2
    assert not pitch_of(torch.zeros(rate), rate).voiced.any()


def test_a_hum_far_below_the_speech_is_no_voice():
    tone = voice(torch.full((8000,), 150.0), 16000)
    voiced = pitch_of(torch.cat([tone, 1e-3 * tone, 0.1 * tone]), 16000).voiced
    assert voiced[5:45].all()
    assert not voiced[55:95].any()
    assert voiced[105:145].all()


@pytest.mark.parametrize("samples", [1, 100, 1024])
def test_short_sounds_have_their_frames(samples):
    assert len(pitch_of(torch.rand(samples), 16000).times) == samples // 160 + 1


def test_pieces_of_a_long_sound_agree_with_the_whole(monkeypatch):
    sound = voice(120 + 40 * torch.linspace(0, 12, 32000).sin(), 16000)
    whole = pitch_of(sound, 16000)
    monkeypatch.setattr(pitch_module, "_BLOCK", 60)
    pieces = pitch_of(sound, 16000)
    np.testing.assert_array_equal(pieces.voiced, whole.voiced)
    np.testing.assert_allclose(pieces.frequency[whole.voiced], whole.frequency[whole.voiced], rtol=0.01)
