"""What every speech prior is: a Pyro model of clean speech whose conditionals are named methods."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, NamedTuple, Self, TypeVar

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from minvae_pyro.errors import UserError
from minvae_pyro.nn.cached import CachedUtterances
from minvae_pyro.probability.likelihoods import ComplexNormal, PowerExponential, Tempered
from minvae_pyro.probability.parameters import AbstractPyroModule
from minvae_pyro.utterances import Plates, Utterances


class Latent(NamedTuple):
    """All that the variance of speech depends on. Leading axes are draws and enumerated values.

    Attributes:
        z: (..., B, N, L).
        alpha: broadcasting to (..., B, N), where the variance depends on the mixture variable; None elsewhere.
    """

    z: Tensor
    alpha: Tensor | None = None


def spectral_likelihood(utterances: Utterances, variance: Tensor) -> dist.Distribution:
    """Zero-mean likelihood of variance (..., B, N, F) > 0 for ``spectrum``, be it coefficients or power.

    Batch shape (..., B, N), event shape (F,). Cells that say nothing of the sound have none: equation
    :eq:`observed-cells`. The others count for as much as is independent: :eq:`independent-cells`.
    """
    cells: Any = ComplexNormal(variance) if utterances.spectrum.is_complex() else PowerExponential(variance)
    frames = (cells if utterances.observed is None else cells.mask(utterances.observed)).to_event(1)
    return frames if utterances.independent is None else Tempered(frames, utterances.independent)


class SpeechPrior(AbstractPyroModule):
    """A prior over clean speech.

    A subclass defines how latent variables come about (:meth:`latent`) and how they set the variance of speech
    (:meth:`speech_variance`); training, the noisy mixture and every inference engine need nothing else.
    """

    latent_dim: int

    @property
    def reach(self) -> int:
        """On how many frames to either side of its own the variance of a frame depends, through their z."""
        return int(getattr(getattr(self, "decoder", None), "reach", 0))

    @abstractmethod
    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        """Sample the latent sites, opening the plates they live in.

        Args:
            utterances: the batch.
            plates: its plates; ``plates.every_frame()`` where frames are independent.
        """

    @abstractmethod
    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        """Variance of clean speech, (..., B, N, F) > 0."""

    def likelihood(self, latent: Latent, utterances: Utterances) -> dist.Distribution:
        """p(s | z, alpha), batch shape (..., B, N), event shape (F,)."""
        return spectral_likelihood(utterances, self.speech_variance(latent, utterances))

    def forward(self, utterances: Utterances) -> Tensor:
        """Run the generative story and observe clean speech at site ``s``."""
        utterances = CachedUtterances.of(utterances)
        plates = utterances.plates()
        likelihood = self.likelihood(self.latent(utterances, plates), utterances)
        with plates.every_frame():
            return pyro.sample("s", likelihood, obs=utterances.spectrum)

    def condition_on(self, utterances: Utterances) -> Self:
        """The same prior for these recordings: what depends on their mouths alone is computed once, and constant.

        Inference evaluates a prior hundreds of times on one batch. Every part that has a ``condition_on`` of its own
        (features of the mouth, priors of z and alpha, other speech priors) is replaced by its result.
        """
        return conditioned_parts(self, utterances)

    def m_step(self, alpha: dist.Distribution, utterances: Utterances) -> None:
        """Re-estimate each recording's ``alpha_prior`` from q(alpha), (B, N), once :meth:`condition_on` has made it."""
        alpha_prior = getattr(self, "alpha_prior", None)
        if alpha_prior is not None:
            alpha_prior.m_step(alpha, utterances)


def within(z: Tensor, utterances: Utterances) -> Tensor:
    """Latent z, (..., B, N, L), zero in padding, so that a frame beside it is the same however long the others are."""
    return z * utterances.mask[..., None]


def require_own_frames(prior: SpeechPrior, needed_by: object) -> None:
    """Refuse a prior whose frames depend on the z of others, for what holds a z for each alpha.

    There alpha of a frame would have to be summed out together with those of its neighbours.

    Raises:
        UserError: ``prior.reach`` is above 0.
    """
    if prior.reach:
        raise UserError(
            f"{type(needed_by).__name__} holds a z for each alpha, frame by frame, and every frame of this "
            f"{type(prior).__name__} depends on z of {prior.reach} to either side: choose one z for both, as "
            "SharedGuide and MeanFieldGuide have it, or a decoder of single frames, such as SpectrumDecoder."
        )


Module = TypeVar("Module", bound=nn.Module)


def shallow_copy(module: Module) -> Module:
    """A copy that shares every part, so that exchanging one leaves the original alone."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


def conditioned_parts(module: Module, utterances: Utterances) -> Module:
    """A copy whose parts are those for these utterances, where they have a ``condition_on``; itself if none changes."""
    modules: dict[str, Any] = module._modules
    with torch.no_grad():
        utterances = CachedUtterances.of(utterances)
        parts = {name: part.condition_on(utterances) for name, part in modules.items() if hasattr(part, "condition_on")}
    if all(part is modules[name] for name, part in parts.items()):
        return module
    twin = shallow_copy(module)
    twin._modules.update(parts)
    return twin
