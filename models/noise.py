"""Models of the noise, fitted to the recording itself and never trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pyro.nn import PyroModule
from torch import Tensor

from minvae_pyro.utterances import Utterances

Statistics = Callable[[], tuple[Tensor, Tensor]]
"""Posterior means of ``|x|^2 / V^2`` and of ``1 / V``, each (B, N, F), with V the variance of the mixture at the
parameters of this moment; zero in padding."""

FLOOR = 1e-9
"""Smallest entry of a factor, far below the -100 dB of 24-bit sound at unit level."""


class NoiseModel(PyroModule):
    """A model of noise variance with its own M-step.

    A subclass declares its Pyro sites, if it has any, in :meth:`forward`.
    """

    def forward(self, utterances: Utterances) -> Tensor:
        """Variance of the noise, (B, N, F) > 0."""
        raise NotImplementedError(f"{type(self).__name__} must give the variance of the noise")

    def m_step(self, statistics: Statistics) -> None:
        """Update the parameters by multiplicative majorise-minimise steps; the likelihood never falls.

        Args:
            statistics: to be asked anew for each block of parameters, since V follows the one before.
        """
        raise NotImplementedError(f"{type(self).__name__} must say how its parameters are updated")


class NMFNoise(NoiseModel):
    """Low-rank noise, ``variance = spectra @ activations`` (Leglaive et al., arXiv 1902.01605, noise model).

    Args:
        spectra: W, (B, F, K) >= 0.
        activations: H, (B, K, N) >= 0.
    """

    spectra: Tensor
    activations: Tensor

    def __init__(self, spectra: Tensor, activations: Tensor) -> None:
        super().__init__()
        self.register_buffer("spectra", spectra)
        self.register_buffer("activations", activations)

    @classmethod
    def start(cls, utterances: Utterances, rank: int = 16, generator: torch.Generator | None = None) -> NMFNoise:
        """Random factors at the level of each recording.

        Args:
            utterances: the noisy batch.
            rank: K, at least 1.
            generator: source of randomness; the default one when omitted.
        """
        power, mask = utterances.power, utterances.mask
        size, frames, frequencies = power.shape

        def random(*shape: int) -> Tensor:
            values = torch.rand(shape, generator=generator, dtype=power.dtype)
            return values.to(power.device) + 0.1

        mean = (power * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp_min(1)
        spectra = random(size, frequencies, rank) * mean[..., None].clamp_min(FLOOR)
        return cls(spectra, random(size, rank, frames) / (0.6 * rank))

    def forward(self, utterances: Utterances) -> Tensor:
        """Variance of the noise, (B, N, F)."""
        return (self.spectra @ self.activations).transpose(1, 2)

    def m_step(self, statistics: Statistics) -> None:
        """Update H, then W, and move the scale of W into H (arXiv 1902.01605, M-step)."""
        ratio, inverse = (part.transpose(1, 2) for part in statistics())  # (B, F, N)
        weights = self.spectra.transpose(1, 2)
        self.activations = self.activations * ((weights @ ratio) / (weights @ inverse).clamp_min(FLOOR)).sqrt()
        ratio, inverse = (part.transpose(1, 2) for part in statistics())
        weights = self.activations.transpose(1, 2)
        spectra = self.spectra * ((ratio @ weights) / (inverse @ weights).clamp_min(FLOOR)).sqrt()
        scale = spectra.sum(1, keepdim=True).clamp_min(FLOOR)
        self.spectra = (spectra / scale).clamp_min(FLOOR)
        self.activations = (self.activations * scale.transpose(1, 2)).clamp_min(FLOOR)
