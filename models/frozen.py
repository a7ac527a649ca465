"""Noise that is known, or held where it is."""

from __future__ import annotations

from typing import Self

from torch import Generator, Tensor

from minvae_pyro.models.noise import NoiseModel, Statistics
from minvae_pyro.utterances import Plates, Utterances


class FrozenNoise(NoiseModel):
    """Any noise model that is not fitted: an ablation, or noise known from elsewhere.

    Args:
        noise: the model; one that has its parameters keeps them in :meth:`start`.
    """

    def __init__(self, noise: NoiseModel) -> None:
        super().__init__()
        # a copy: a model that has run before could not become a part of another
        self.noise = noise.at()

    @property
    def started(self) -> bool:
        """Whether the noise has its parameters."""
        return self.noise.started

    def start(self, utterances: Utterances, generator: Generator | None = None) -> Self:
        """A copy with the noise started, if it is not yet."""
        return type(self)(self.noise if self.started else self.noise.start(utterances, generator))

    def moved(self, utterances: Utterances, dropped: int) -> Self:
        """A copy for a window that has moved on, see :meth:`NoiseModel.moved`."""
        return type(self)(self.noise.moved(utterances, dropped))

    def declare(self, utterances: Utterances, plates: Plates) -> None:
        """Declare the sites of the noise."""
        self.noise.declare(utterances, plates)

    def forward(self, utterances: Utterances) -> Tensor:
        """Variance of the noise, (B, N, F)."""
        return self.noise(utterances)

    def m_step(self, statistics: Statistics) -> None:
        """Do nothing."""
