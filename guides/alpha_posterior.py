"""p(alpha) and q(alpha) of any prior with a mixture variable, found by conditioning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import kl_divergence

from minvae_pyro.models.alpha_priors import audio_where_unseen
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.probability.handlers import hidden_block
from minvae_pyro.probability.markov import conditionals
from minvae_pyro.utterances import Plates, Utterances


class Story(Protocol):
    """A speech prior, or a noisy mixture."""

    @property
    def reach(self) -> int:
        """On how many frames to either side of its own the likelihood of a frame depends, through their z."""
        ...

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        """Sample the latent sites."""
        ...

    def likelihood(self, latent: Latent, utterances: Utterances) -> dist.Distribution:
        """What is observed, given the latent variables; batch shape (..., B, N)."""
        ...


@dataclass(frozen=True)
class Branches:
    """Both values of alpha side by side; axis 0 is alpha, so visual comes first.

    Attributes:
        prior: p(alpha), batch shape (B, N).
        divergence: KL(q(z | alpha) || p(z | alpha)), (2, B, N).
        latent: what sets the variance; with alpha at both values if the variance depends on it.
    """

    prior: dist.Distribution
    divergence: Tensor
    latent: Latent

    @property
    def likelihood_differs(self) -> bool:
        """Whether the likelihood depends on alpha, by itself or through z: it cancels otherwise."""
        return self.latent.alpha is not None or self.latent.z.dim() > self.divergence.dim()


def both_alphas(like: Tensor) -> Tensor:
    """Alpha at both of its values, (2, 1, 1), visual first, with dtype and device of ``like``."""
    return torch.tensor([0.0, 1.0], device=like.device, dtype=like.dtype)[:, None, None]


def by_alpha(alpha: Tensor, both: Tensor) -> Tensor:
    """What belongs to each value of alpha, of both side by side.

    Args:
        alpha: broadcasting to (..., B, N); drawn, or enumerated along whatever axis.
        both: (..., 2, B, N, L), visual first.

    Returns:
        Tensor: (..., B, N, L).
    """
    visual, audio = both.unbind(-4)
    return torch.where((alpha == 1)[..., None], audio, visual)


def latent_trace(story: Story, utterances: Utterances, **sites: Tensor) -> Any:
    """The trace of the latent part of a story at known values of its sites; ``_RETURN`` has the latent variables.

    Args:
        story: any speech prior, or a noisy mixture.
        utterances: the batch.
        **sites: values, batch shape broadcasting to (B, N); names that the story lacks are ignored.
    """
    # hidden: a guide that asks must not find the model's sites in its own trace
    with hidden_block(), pyro.validation_enabled(False):
        # the plates are made before: they are no sites of the story
        plates = utterances.plates()
        return poutine.trace(poutine.condition(story.latent, data=sites)).get_trace(utterances, plates)


def latent_at(story: Story, utterances: Utterances, **sites: Tensor) -> Latent:
    """What sets the variance at known values of the latent sites; arguments as of :func:`latent_trace`."""
    return latent_trace(story, utterances, **sites).nodes["_RETURN"]["value"]


def branches(story: Story, posterior: dist.Distribution, draw: Tensor, utterances: Utterances) -> Branches | None:
    """The latent part of a story with alpha at both of its values and z at a draw; None without a site ``alpha``.

    Args:
        story: any speech prior, or a noisy mixture.
        posterior: q(z | alpha), batch shape (2, B, N), or q(z), batch shape (B, N); event shape (L,).
        draw: z, of the shape of the posterior, perhaps with more axes in front.
        utterances: the batch.
    """
    sites = latent_trace(story, utterances, alpha=both_alphas(draw), z=draw).nodes
    if "alpha" not in sites:
        return None
    divergence = kl_divergence(conditionals(posterior, draw), conditionals(sites["z"]["fn"], draw))
    return Branches(sites["alpha"]["fn"], divergence, sites["_RETURN"]["value"])


def alpha_posterior(prior: dist.Distribution, evidence: Tensor, utterances: Utterances) -> dist.Distribution:
    """q(alpha) in closed form, batch shape that of the evidence: the prior, tilted by the evidence of each frame.

    Equation :eq:`best-responsibility`, or :eq:`tilted-chain` where the prior is a chain.

    Args:
        prior: p(alpha), Bernoulli over frames or a distribution with ``tilted``, such as a Markov chain.
        evidence: log-evidence for alpha = 1 against alpha = 0, (B, N), or of several draws, (..., B, N).
        utterances: the batch; frames without a mouth are the sound's.

    Example:
        >>> seen = Utterances.from_spectrum(torch.ones(3, 5), torch.zeros(3, 67, 67))
        >>> prior = dist.Bernoulli(torch.full((1, 3), 0.5))
        >>> alpha_posterior(prior, torch.tensor([[0.0, 2.0, -2.0]]), seen).mean
        tensor([[0.5000, 0.8808, 0.1192]])
    """
    if hasattr(prior, "tilted"):
        return prior.tilted(audio_where_unseen(evidence, utterances))
    return dist.Bernoulli(logits=audio_where_unseen(prior.logits + evidence, utterances))
