"""What every speech prior is: a Pyro model of clean speech whose conditionals are named methods."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Self, TypeVar

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from minvae_pyro.probability.likelihoods import ComplexNormal, PowerExponential
from minvae_pyro.probability.parameters import AbstractPyroModule
from minvae_pyro.utterances import Plates, Utterances


def spectral_likelihood(spectrum: Tensor, variance: Tensor) -> PowerExponential | ComplexNormal:
    """The zero-mean likelihood that scores this kind of spectrum, complex coefficients or power.

    Args:
        spectrum: (B, N, F), what will be scored.
        variance: (..., B, N, F) > 0.
    """
    return ComplexNormal(variance) if spectrum.is_complex() else PowerExponential(variance)


class SpeechPrior(AbstractPyroModule):
    """A prior over clean speech.

    A subclass says how latent variables come about (:meth:`latent`) and how they set the variance of speech
    (:meth:`speech_variance`). Nothing else is asked of it: training, the noisy mixture and every inference
    engine work through these two.
    """

    latent_dim: int

    @abstractmethod
    def latent(self, utterances: Utterances, plates: Plates) -> Tensor:
        """Sample the latent sites, opening the plates they live in.

        Args:
            utterances: the batch.
            plates: its plates; ``plates.every_frame()`` where frames are independent.

        Returns:
            Tensor: the code, (..., B, N, C), all that the variance of speech depends on: z, or z and what else
            decides. Leading axes are draws and enumerated values.
        """

    @abstractmethod
    def speech_variance(self, code: Tensor, utterances: Utterances) -> Tensor:
        """Variance of clean speech, (..., B, N, F) > 0, from the code (..., B, N, C)."""

    def likelihood(self, code: Tensor, utterances: Utterances) -> dist.Distribution:
        """p(s | code), batch shape (..., B, N), event shape (F,)."""
        return spectral_likelihood(utterances.spectrum, self.speech_variance(code, utterances)).to_event(1)

    def forward(self, utterances: Utterances) -> Tensor:
        """Run the generative story and observe clean speech at site ``s``."""
        plates = utterances.plates()
        likelihood = self.likelihood(self.latent(utterances, plates), utterances)
        with plates.every_frame():
            return pyro.sample("s", likelihood, obs=utterances.spectrum)

    def condition_on(self, utterances: Utterances) -> Self:
        """The same prior with whatever depends on the mouth alone worked out once for these utterances.

        Inference evaluates a prior hundreds of times on one batch; a prior that runs a network on the mouth
        overrides this. The default has nothing to work out.
        """
        return self

    def m_step(self, alpha: dist.Distribution, utterances: Utterances) -> None:
        """Re-estimate what is not learnt in training but on each recording; nothing by default.

        Args:
            alpha: q(alpha), batch shape (B, N); its mean is the responsibility of the sound.
            utterances: the noisy batch.
        """


Module = TypeVar("Module", bound=nn.Module)


def shallow_copy(module: Module) -> Module:
    """A copy that shares every part, so that exchanging one leaves the original alone."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


def standard_normal(like: Tensor, latent_dim: int) -> tuple[Tensor, Tensor]:
    """Mean zeros and scale ones, (L,), with dtype and device of ``like``."""
    real = like.real if like.is_complex() else like
    return real.new_zeros(latent_dim), torch.ones_like(real.new_zeros(latent_dim))
