"""Low-rank noise that finds its own rank."""

from __future__ import annotations

import math
from typing import Self

import pyro
import pyro.distributions as dist
from torch import Generator, Tensor

from minvae_pyro.models.noise import FLOOR, HIGHEST_RANK, NoiseModel, Statistics, mean_power, random_factor
from minvae_pyro.utterances import Plates, Utterances

_LARGEST_SHAPE = 1e6  # of the priors, which are as good as certain there


class BayesianNMFNoise(NoiseModel):
    """NMF noise with Gamma priors and automatic relevance determination (Tan & Févotte, arXiv 1111.6085).

    Equation :eq:`relevance-prior`::

        for k in components:
            relevance[k] ~ InverseGamma(shape, scale)
            for f in frequencies:
                spectra[f, k] ~ Gamma(spectra_shape, 1 / relevance[k])
            for n in frames:
                activations[k, n] ~ Gamma(activations_shape, 1 / relevance[k])
        variance[n, f] = level[f] * sum over k of spectra[f, k] * activations[k, n]

    Parameters are maximum a posteriori estimates. A component that the recording does not need loses its relevance, so
    the rank is an upper bound. ``level`` is the mean power of the recording, so that the priors are about shapes
    whatever the loudness; at ``scale`` the noise has this power a priori (ibid., section on hyper-parameters).

    Args:
        rank: K, the most components there can be.
        shape: of the prior of relevance, > 2.
        spectra_shape: of the prior of W, at least 1, so that its density is bounded; 1 is sparsest.
        activations_shape: of the prior of H, at least 1.
    """

    framewise = ("activations",)

    spectra: Tensor  # (B, F, K)
    activations: Tensor  # (B, K, N)
    relevance: Tensor  # (B, K)
    level: Tensor  # (B, F)
    mask: Tensor  # (B, N)

    def __init__(
        self, rank: int = 16, shape: float = 5.0, spectra_shape: float = 1.0, activations_shape: float = 1.0
    ) -> None:
        super().__init__()
        shapes = (shape, spectra_shape, activations_shape)
        if not 1 <= rank <= HIGHEST_RANK or not shape > 2 or min(shapes) < 1 or not max(shapes) <= _LARGEST_SHAPE:
            raise ValueError(
                f"noise needs a rank of at least 1 and at most {HIGHEST_RANK}, a shape above 2, shapes of spectra and "
                f"activations of at least 1, none above {_LARGEST_SHAPE:g}, not {rank}, {shape}, {spectra_shape}, "
                f"{activations_shape}"
            )
        self.rank = rank
        self.shape = shape
        self.spectra_shape = spectra_shape
        self.activations_shape = activations_shape
        self.scale = math.sqrt((shape - 1) * (shape - 2) / (rank * spectra_shape * activations_shape))

    def start(self, utterances: Utterances, generator: Generator | None = None) -> Self:
        """A copy with random factors at the level of each recording."""
        power = utterances.power
        size, frames, frequencies = power.shape
        mean = 0.6 * self.rank**0.5
        spectra = (random_factor(power, generator, frequencies, self.rank) / mean).expand(size, -1, -1)
        activations = (random_factor(power, generator, frames, self.rank).T / mean).expand(size, -1, -1)
        level = mean_power(utterances).clamp_min(FLOOR)
        started = self.at(spectra=spectra, activations=activations, level=level, mask=utterances.mask)
        return started.at(relevance=started._best_relevance())

    def moved(self, utterances: Utterances, dropped: int) -> Self:
        """A copy for a window that has moved on, see :meth:`NoiseModel.moved`; it stays at its level."""
        return super().moved(utterances, dropped).at(mask=utterances.mask)

    def declare(self, utterances: Utterances, plates: Plates) -> None:
        """Declare ``relevance``, ``spectra`` and ``activations``."""
        with plates.utterances:
            prior = dist.InverseGamma(self.relevance.new_tensor(self.shape), self.relevance.new_tensor(self.scale))
            relevance = self.relevance[:, None]
            pyro.sample("relevance", prior.expand(relevance.shape).to_event(1), obs=relevance)
            spectra = self.spectra[:, None]
            rate = relevance[:, :, None].reciprocal().expand_as(spectra)
            pyro.sample("spectra", dist.Gamma(self.spectra_shape, rate).to_event(2), obs=spectra)
        with plates.every_frame():
            activations = self.activations.transpose(1, 2)
            rate = relevance.reciprocal().expand_as(activations)
            pyro.sample("activations", dist.Gamma(self.activations_shape, rate).to_event(1), obs=activations)

    def forward(self, utterances: Utterances) -> Tensor:
        """Variance of the noise, (B, N, F)."""
        # frames as rows in memory, see NMFNoise
        return self.activations.mT @ self._levelled().mT

    def m_step(self, statistics: Statistics) -> None:
        """Update H, then W, then the relevance of each component (equation :eq:`relevance-update`)."""
        ratio, inverse = (part.transpose(1, 2) for part in statistics())  # (B, F, N)
        weights = self._levelled().transpose(1, 2)
        rate = self.relevance[..., None].reciprocal()
        self.activations = _best_factor(
            self.activations, weights @ ratio, weights @ inverse + rate, self.activations_shape
        )
        ratio, inverse = (part.transpose(1, 2) for part in statistics())
        weights = self.activations.transpose(1, 2)
        level = self.level[..., None]
        self.spectra = _best_factor(
            self.spectra,
            level * (ratio @ weights),
            level * (inverse @ weights) + rate.transpose(1, 2),
            self.spectra_shape,
        )
        self.relevance = self._best_relevance()

    def _levelled(self) -> Tensor:
        return self.level[..., None] * self.spectra

    def _best_relevance(self) -> Tensor:
        """Mode of the posterior of the relevance given W and H (arXiv 1111.6085, update of the weights)."""
        total = self.spectra.sum(1) + (self.activations * self.mask[:, None]).sum(2) + self.scale
        frames = self.mask.sum(1, keepdim=True)
        count = self.spectra_shape * self.spectra.shape[1] + self.activations_shape * frames
        return total / (count + self.shape + 1)


def _best_factor(old: Tensor, rise: Tensor, fall: Tensor, shape: float) -> Tensor:
    """Maximise ``-rise * old^2 / new - fall * new + (shape - 1) log new``, the minoriser of the log-posterior.

    The rate of the prior is a part of ``fall``. With the log-likelihood's minoriser (arXiv 1902.01605, M-step) the
    derivative is zero at the positive root of a quadratic; at shape 1 the root is the multiplicative update.
    """
    above = shape - 1
    return ((above + (above**2 + 4 * fall * rise * old.square()).sqrt()) / (2 * fall)).clamp_min(FLOOR)
