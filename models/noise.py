"""Models of the noise, fitted to the recording itself and never trained."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

import torch
from pyro import poutine
from torch import Generator, Tensor

from minvae_pyro.probability.parameters import AbstractPyroModule
from minvae_pyro.utterances import Plates, Utterances

Statistics = Callable[[], tuple[Tensor, Tensor]]
"""Posterior means of ``|x|^2 / V^2`` and of ``1 / V``, each (B, N, F), with V the variance of the mixture at the
parameters of this moment; zero in padding and where nothing is observed. Equation :eq:`noise-statistics`."""

HIGHEST_RANK = 512
"""Components of the noise that there can be: more than frequencies would explain anything."""

FLOOR = 1e-9
"""Smallest entry of a factor, far below the -100 dB of 24-bit sound at unit level."""


class NoiseModel(AbstractPyroModule):
    """A model of noise variance with its own M-step; hyper-parameters in the constructor, recordings in :meth:`start`.

    Attributes:
        framewise: names of the parameters whose last axis is the frames.
    """

    framewise: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def start(self, utterances: Utterances, generator: Generator | None = None) -> Self:
        """A copy with parameters of its own for these recordings, at their level.

        Random parameters are best drawn once for all recordings (:func:`random_factor`): results then do not depend on
        the batch.

        Args:
            utterances: the noisy batch.
            generator: source of randomness, on the CPU; the default one when omitted.
        """

    @property
    def started(self) -> bool:
        """Whether the parameters have values."""
        return bool(self._buffers)

    def at(self, **parameters: Tensor) -> Self:
        """A copy whose parameters have these values."""
        twin = copy.copy(self)
        twin._buffers = dict(self._buffers)
        for name, value in parameters.items():
            twin.register_buffer(name, value)
        return twin

    def moved(self, utterances: Utterances, dropped: int) -> Self:
        """A copy for a window that has moved on over the recording; new frames start at the mean of those known.

        Args:
            utterances: of the new window.
            dropped: how many of the first frames have left it; at least one must be left.
        """
        parameters = {}
        for name in self.framewise:
            known = getattr(self, name)[..., dropped:]
            fresh = known.mean(-1, keepdim=True).expand(*known.shape[:-1], utterances.frames - known.shape[-1])
            parameters[name] = torch.cat([known, fresh], -1)
        return self.at(**parameters)

    def declare(self, utterances: Utterances, plates: Plates) -> None:
        """Declare the Pyro sites of parameters that have a prior, observed at their values; none by default."""

    def log_prior(self, utterances: Utterances) -> Tensor:
        """Log-density of the parameters under their prior, (B,), zero without one."""
        total = utterances.noisy_power.new_zeros(len(utterances))
        trace = poutine.trace(self.declare).get_trace(utterances, utterances.plates())
        trace.compute_log_prob()
        for name in trace.observation_nodes:
            total = total + trace.nodes[name]["log_prob"].sum(1)
        return total

    @abstractmethod
    def forward(self, utterances: Utterances) -> Tensor:
        """Variance of the noise, (B, N, F) > 0."""

    @abstractmethod
    def m_step(self, statistics: Statistics) -> None:
        """Update the parameters by majorise-minimise steps; likelihood plus log-prior never falls.

        Args:
            statistics: called anew for each block of parameters, since V follows the one before.
        """


class NMFNoise(NoiseModel):
    """Low-rank noise, ``variance = spectra @ activations`` (Leglaive et al., arXiv 1902.01605, noise model).

    Equation :eq:`nmf-noise`. Started, W is ``spectra``, (B, F, K) >= 0, and H is ``activations``, (B, K, N) >= 0.

    Args:
        rank: K, 1 to 512.

    Example:
        >>> utterances = Utterances.from_spectrum(torch.ones(7, 513))
        >>> noise = NMFNoise(rank=2).start(utterances)
        >>> noise.spectra.shape, noise.activations.shape, noise(utterances).shape
        (torch.Size([1, 513, 2]), torch.Size([1, 2, 7]), torch.Size([1, 7, 513]))
    """

    framewise = ("activations",)

    spectra: Tensor
    activations: Tensor

    def __init__(self, rank: int = 4) -> None:
        super().__init__()
        if not 1 <= rank <= HIGHEST_RANK:
            raise ValueError(f"noise needs a rank of at least 1 and at most {HIGHEST_RANK}, not {rank}")
        self.rank = rank

    def start(self, utterances: Utterances, generator: Generator | None = None) -> Self:
        """A copy with random factors at the level of each recording."""
        power = utterances.power
        size, frames, frequencies = power.shape
        spectra = random_factor(power, generator, frequencies, self.rank)
        activations = random_factor(power, generator, frames, self.rank).T.expand(size, -1, -1)
        level = mean_power(utterances).clamp_min(FLOOR)
        return self.at(spectra=spectra * level[..., None], activations=activations / (0.6 * self.rank))

    def forward(self, utterances: Utterances) -> Tensor:
        """Variance of the noise, (B, N, F)."""
        # in this order frames are rows in memory, as in all that it meets: mixed layouts are slow
        return self.activations.mT @ self.spectra.mT

    def m_step(self, statistics: Statistics) -> None:
        """Update H, then W, and move the scale of W into H (arXiv 1902.01605, M-step; equation :eq:`noise-update`)."""
        ratio, inverse = (part.transpose(1, 2) for part in statistics())  # (B, F, N)
        weights = self.spectra.transpose(1, 2)
        self.activations = self.activations * ((weights @ ratio) / (weights @ inverse).clamp_min(FLOOR)).sqrt()
        ratio, inverse = (part.transpose(1, 2) for part in statistics())
        weights = self.activations.transpose(1, 2)
        spectra = self.spectra * ((ratio @ weights) / (inverse @ weights).clamp_min(FLOOR)).sqrt()
        scale = spectra.sum(1, keepdim=True).clamp_min(FLOOR)
        self.spectra = (spectra / scale).clamp_min(FLOOR)
        self.activations = (self.activations * scale.transpose(1, 2)).clamp_min(FLOOR)


def mean_power(utterances: Utterances) -> Tensor:
    """Mean over the frames of each recording, (B, F); neither padding nor cells that say nothing count."""
    cells = utterances.evident
    return (utterances.power * cells).sum(1) / cells.sum(1).clamp_min(1)


def random_factor(like: Tensor, generator: Generator | None, size: int, rank: int) -> Tensor:
    """Uniform numbers between 0.1 and 1.1, (size, rank), with dtype and device of ``like``.

    They are for all recordings of a batch, and fewer rows are the first ones of more: a start depends neither on the
    others nor on padding.

    Args:
        like: a tensor.
        generator: on the CPU; the default one when omitted.
        size: F or N.
        rank: K.
    """
    return torch.rand(size, rank, generator=generator, dtype=like.dtype).to(like.device) + 0.1


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
