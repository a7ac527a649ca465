from types import SimpleNamespace
from typing import Any

import pytest
import torch

from minvae_pyro.audio.stft import STFT
from minvae_pyro.enhancement.filter import apply_gain, infer_waveforms
from minvae_pyro.utterances import Utterances, concatenate
from minvae_pyro.video.track import MouthTrack

HOP = 533
LENGTHS = (9 * HOP, 5 * HOP + 40, 1)


def sounds() -> list[torch.Tensor]:
    return [torch.randn(n, generator=torch.Generator().manual_seed(n)) * 3 + 0.1 for n in LENGTHS]


def inferred(known: Any, mouths: list[MouthTrack | None]) -> tuple[Any, Utterances]:
    checkpoint: Any = SimpleNamespace(stft=STFT())
    found = infer_waveforms(checkpoint, sounds(), mouths, callback=lambda *steps: None)
    return found, known.batches[0]


def test_sounds_of_any_length_share_a_batch_each_at_unit_level(known_inference: Any) -> None:
    found = torch.arange(10) % 2 == 0
    mouth = MouthTrack(torch.full((10, 67, 67), 51, dtype=torch.uint8), torch.arange(10.0).double(), found)
    _, batch = inferred(known_inference, [mouth, None, None])
    stft = STFT()
    # the oracle: each by itself, joined
    alone = []
    for sound, shown in zip(sounds(), [mouth, None, None], strict=True):
        spectrum = stft(torch.nn.functional.pad(sound / sound.square().mean().sqrt(), (0, -len(sound) % HOP)))
        pictures = (None, None) if shown is None else (shown.crops, shown.found)
        alone.append(Utterances.from_spectrum(spectrum, *pictures))
    expected = concatenate(alone)
    for name in ("spectrum", "noisy_power", "mouth", "mouth_seen", "mask"):
        torch.testing.assert_close(getattr(batch, name), getattr(expected, name), rtol=1e-5, atol=1e-5)
    assert batch.mask.sum(1).tolist() == [stft.frames(n) for n in LENGTHS]


def test_without_any_mouth_the_batch_has_no_pictures_in_memory(known_inference: Any) -> None:
    _, batch = inferred(known_inference, [None, None, None])
    assert not batch.mouth_seen.any()
    assert batch.mouth.untyped_storage().nbytes() <= 8


@pytest.mark.parametrize("gain", [1.0, 0.25])
def test_the_gain_is_applied_to_every_channel_at_its_own_level(known_inference: Any, gain: float) -> None:
    known_inference.gains = [gain]
    found, _ = inferred(known_inference, [None, None, None])
    stft = STFT()
    for row, sound in enumerate(sounds()):
        channels = torch.stack([sound, -2 * sound])
        speech = apply_gain(stft, found.gain[row, : stft.frames(len(sound))], channels)
        torch.testing.assert_close(speech, gain * channels, rtol=0, atol=2e-5)
