"""Noise that does not change."""

from __future__ import annotations

from typing import Self

from torch import Generator, Tensor

from minvae_pyro.models.noise import FLOOR, NoiseModel, Statistics, mean_power
from minvae_pyro.utterances import Utterances


class StationaryNoise(NoiseModel):
    """One spectrum for the whole recording: NMF noise of rank one whose activations are all one.

    Started, it has it as ``spectrum``, (B, F) >= 0.
    """

    spectrum: Tensor

    def start(self, utterances: Utterances, generator: Generator | None = None) -> Self:
        """A copy with the mean power of each recording; nothing is random."""
        return self.at(spectrum=mean_power(utterances).clamp_min(FLOOR))

    def forward(self, utterances: Utterances) -> Tensor:
        """Variance of the noise, (B, N, F)."""
        return self.spectrum[:, None].expand(utterances.power.shape)

    def m_step(self, statistics: Statistics) -> None:
        """Update the spectrum by the root of a quotient, as any factor of NMF (equation :eq:`noise-update`)."""
        ratio, inverse = statistics()
        self.spectrum = (self.spectrum * (ratio.sum(1) / inverse.sum(1).clamp_min(FLOOR)).sqrt()).clamp_min(FLOOR)
