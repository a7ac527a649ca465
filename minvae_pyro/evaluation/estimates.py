"""What other systems have made of the mixtures, read from files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from minvae_pyro.audio.files import read_sound
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.batches import Estimate
from minvae_pyro.evaluation.mixtures import Mixture

_SLACK = 0.05  # seconds by which an estimate may be longer or shorter than its mixture


@dataclass(frozen=True)
class Estimates:
    """What another system has made of the mixtures.

    Attributes:
        name: of the system.
        folder: of sound files named after the ids of mixtures, at any rate.
    """

    name: str
    folder: Path

    def file(self, mixture: Mixture) -> Path | None:
        """The estimate of a mixture, if there is one."""
        files = (self.folder / f"{mixture.id}{suffix}" for suffix in (".wav", ".flac"))
        return next((file for file in files if file.is_file()), None)

    def read(self, mixture: Mixture, noisy: Tensor, notes: list[str]) -> Estimate:
        """Read the estimate of a mixture, mono, at the rate and with the length of the mixture.

        Args:
            mixture: which.
            noisy: (samples,) the mixture.
            notes: told where the end was cut, or filled with silence.

        Raises:
            UserError: there is none, it cannot be read, or it is off by more than a twentieth of a second.
        """
        file = self.file(mixture)
        if file is None:
            raise UserError(f"there is no {self.folder / mixture.id}.wav or .flac")
        speech = read_sound(file).resample(mixture.sample_rate).mono()
        missing = len(noisy) - len(speech)
        if abs(missing) > _SLACK * mixture.sample_rate:
            lengths = f"{len(speech) / mixture.sample_rate:.3f} s, the mixture {len(noisy) / mixture.sample_rate:.3f} s"
            raise UserError(f"{file} lasts {lengths}: align them")
        if missing:
            notes.append(f"the estimate is {abs(missing)} samples too {'short' if missing > 0 else 'long'}")
        return given(pad(speech, (0, missing)))


def given(speech: Tensor) -> Estimate:
    """An estimate of which nothing more is known."""
    return Estimate(speech, None, torch.empty(0), math.nan)
