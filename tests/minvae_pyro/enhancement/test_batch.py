from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from minvae_pyro import enhance, load_checkpoint
from minvae_pyro.audio.level import level
from minvae_pyro.enhancement import batch as batches
from minvae_pyro.enhancement.batch import enhance_batch
from minvae_pyro.synthetic.talker import speak, synthesise
from minvae_pyro.video.track import MouthTrack

Handmade = Callable[..., Path]
SETTINGS = {"start": "both", "engine": "fast"}


def test_a_batch_of_one_is_what_users_get() -> None:
    checkpoint = load_checkpoint("min-vae")
    utterance = synthesise(1.0, 5)
    noisy = utterance.waveform + 0.05 * torch.randn_like(utterance.waveform)
    mouth = MouthTrack(utterance.crops, utterance.times, torch.ones(len(utterance.times), dtype=torch.bool))
    (ours,) = enhance_batch(checkpoint, [noisy], [mouth], 3, SETTINGS)
    theirs = enhance(noisy, sample_rate=16000, video=mouth, checkpoint=checkpoint, seed=3, **SETTINGS)
    assert ours.speech.norm() > 0.1 * noisy.norm()
    torch.testing.assert_close(ours.speech, theirs.speech[0], rtol=1e-4, atol=1e-5)
    assert ours.audio_responsibility is not None
    assert theirs.audio_responsibility is not None
    torch.testing.assert_close(ours.audio_responsibility, theirs.audio_responsibility, rtol=0, atol=1e-5)
    assert torch.equal(ours.frame_times, theirs.frame_times)
    assert 0 < ours.elapsed <= theirs.elapsed * 5


def noisy_sounds(*lengths: float) -> list[torch.Tensor]:
    sounds = [speak(seconds, seed) for seed, seconds in enumerate(lengths)]
    return [sound + 0.02 * level(sound) * torch.randn_like(sound) for sound in sounds]


def test_sounds_of_unequal_length_share_a_batch(tmp_path: Path, handmade: Handmade) -> None:
    checkpoint = load_checkpoint(handmade(tmp_path / "a-vae.safetensors"))
    sounds = noisy_sounds(0.5, 0.3)
    estimates = enhance_batch(checkpoint, sounds, [None, None], settings=SETTINGS)
    for sound, one in zip(sounds, estimates, strict=True):
        assert one.speech.shape == sound.shape
        assert one.speech.isfinite().all()
        assert one.speech.norm() > 0.01 * sound.norm()
        assert one.frame_times.shape == (checkpoint.stft.frames(len(sound)),)
    assert estimates[0].elapsed / estimates[1].elapsed == pytest.approx(5 / 3)


def test_a_sound_longer_than_a_window_goes_alone(
    tmp_path: Path, handmade: Handmade, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = load_checkpoint(handmade(tmp_path / "a-vae.safetensors"))
    sounds = noisy_sounds(0.3, 0.9, 0.4)
    together = enhance_batch(checkpoint, [sounds[0], sounds[2]], [None, None], settings=SETTINGS)
    monkeypatch.setattr(batches, "WINDOW_SECONDS", 0.5)
    found = enhance_batch(checkpoint, sounds, [None, None, None], settings=SETTINGS)
    alone = enhance(sounds[1], sample_rate=16000, checkpoint=checkpoint, **SETTINGS)
    assert torch.equal(found[0].speech, together[0].speech)
    assert torch.equal(found[2].speech, together[1].speech)
    torch.testing.assert_close(found[1].speech, alone.speech[0])
