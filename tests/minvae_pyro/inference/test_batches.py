"""A recording's result does not depend on what else is in its batch, nor on padding, whatever is drawn."""

from typing import Any

import pytest
import torch

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.inference import infer
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.utterances import Utterances, concatenate

LENGTHS = (9, 21, 14)


def recordings(frequencies: int) -> list[Utterances]:
    """Of several lengths; the last is without a mouth in the middle and at its end."""
    found = []
    for frames in LENGTHS:
        spectrum = torch.randn(1, frames, frequencies, dtype=torch.complex128)
        spectrum = spectrum * torch.rand(1, frames, 1).exp() / torch.arange(1, frequencies + 1) ** 0.5
        found.append(Utterances.from_spectrum(spectrum, torch.rand(1, frames, 67, 67, dtype=torch.float64)))
    seen = found[-1].mouth_seen
    seen[0, 4:6] = seen[0, -3:] = False
    return [one.replace(mouth=one.mouth * one.mouth_seen[..., None, None]) for one in found]


@pytest.mark.parametrize(
    ("name", "engine", "settings"),
    [
        *(("min-vae", engine, {}) for engine in ENGINES),
        *((name, "fast", {}) for name in ("a-vae", "min-vae-v2", "vae-mm", "sw-vae", "av-cvae", "av-dkf")),
        ("av-dkf", "mcem", {}),
        ("sw-vae", "mcem", {}),
        ("min-vae-s1", "fast", {"guide": "MixtureUtteranceGuide", "noise": "BayesianNMFNoise", "start": "random"}),
        ("min-vae", "fast", {"guide": "SmoothedGuide", "noise": "StationaryNoise", "start": "visual"}),
        ("min-vae-s1", "fast", {"guide": "AmortisedGuide"}),
    ],
)
def test_a_padded_batch_is_its_recordings_one_by_one(name: str, engine: str, settings: dict[str, Any]) -> None:
    checkpoint = load_checkpoint(name)
    parts: list[Any] = [checkpoint.prior, checkpoint.guide]
    for part in parts:
        part.double()
    alone = recordings(checkpoint.stft.frequencies)
    described = {"class_path": engine, "init_args": {"iterations": 4}}
    together = infer(checkpoint, concatenate(alone), engine=described, seed=5, **settings)
    for row, (frames, one) in enumerate(zip(LENGTHS, alone, strict=True)):
        found = infer(checkpoint, one, engine=described, seed=5, **settings)
        torch.testing.assert_close(together.gain[row, :frames], found.gain[0], rtol=0, atol=1e-9)
        if found.audio_responsibility is not None:
            assert together.audio_responsibility is not None
            torch.testing.assert_close(
                together.audio_responsibility[row, :frames], found.audio_responsibility[0], rtol=0, atol=1e-9
            )
