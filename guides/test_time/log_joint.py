"""The log-joint of a story at known z, for engines that sample or climb."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pyro
import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence
from torch.nn.functional import logsigmoid

from minvae_pyro.guides.alpha_posterior import Story, alpha_posterior, both_alphas, latent_trace
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.probability.markov import conditionals, couples_frames
from minvae_pyro.utterances import Utterances


@dataclass(frozen=True)
class Joint:
    """A story at S values of z, frame by frame.

    The sum of the terms over alpha and frames is equation :eq:`log-joint`::

        terms[s, a, b, n] = log p(z[n] | z[n - 1], alpha[n] = a)
                            + log p(x[n] | z[n], alpha[n] = a)

    Attributes:
        alpha: p(alpha), batch shape (B, N); None for a story without it.
        terms: (S, A, B, N), zero in padding; A is 2 with alpha, visual first, and 1 without.
        latent: what sets the variance, z (S, 1, B, N, L), with alpha at both values where the variance depends on it.
        variance: of z under p(z[n] | z[n - 1], alpha[n]), (S, A, B, N, L).
        follows: whether each z follows from the one before.
        reach: on how many frames to either side of its own the likelihood of a frame depends, through their z.
        utterances: the batch.
    """

    alpha: Any
    terms: Tensor
    latent: Latent
    variance: Tensor
    follows: bool
    reach: int
    utterances: Utterances

    @property
    def touched(self) -> tuple[int, int]:
        """How many frames before and after a frame have terms that change with its z."""
        return self.reach, max(self.reach, int(self.follows))

    @property
    def chained(self) -> bool:
        """Whether alpha is a Markov chain."""
        return couples_frames(self.alpha)

    @property
    def evidence(self) -> Tensor:
        """Log-evidence of a frame for alpha = 1 against alpha = 0, (S, B, N)."""
        return self.terms[:, 1] - self.terms[:, 0]

    def posterior(self) -> Distribution:
        """p(alpha | z, x), batch shape (S, B, N), or (B, N) where it does not depend on them."""
        return alpha_posterior(self.alpha, self.evidence, self.utterances)

    def at(self, alpha: Tensor) -> Tensor:
        """Each frame's log p(x, z | alpha) at known alpha, (S, B, N)."""
        return torch.where(alpha == 1, self.terms[:, 1], self.terms[:, 0])

    def frames(self, held: Distribution | None = None) -> Tensor:
        """Each frame's log p(x, z), alpha summed out, (S, B, N); not for a chain, whose frames are dependent.

        Args:
            held: q(alpha) where it is given: then ``E_q[log p(x, z | alpha)] - KL(q(alpha) || p(alpha))``, also for a
                chain.
        """
        if self.alpha is None:
            return self.terms[:, 0]
        if held is not None:
            audio, divergence = held.mean, kl_divergence(held, self.alpha)
            inside = (1 - audio) * self.terms[:, 0] + audio * self.terms[:, 1]
            return inside - torch.where(self.utterances.mask, divergence, 0)
        logits = self.alpha.logits
        return torch.logaddexp(self.terms[:, 0] + logsigmoid(-logits), self.terms[:, 1] + logsigmoid(logits))

    def total(self, held: Distribution | None = None) -> Tensor:
        """Each recording's log p(x, z), alpha summed out, over all paths of a chain, (S, B); see :meth:`frames`."""
        if not self.chained or held is not None:
            return self.frames(held).sum(-1)
        evidence = self.evidence
        return self.terms[:, 0].sum(-1) + self.alpha.expand(evidence.shape).log_normaliser(evidence)

    def where(self, changed: Tensor, other: Joint) -> Joint:
        """The same with the terms of other values of z in the frames (S, B, N) that changed."""
        return replace(self, terms=torch.where(changed.unsqueeze(1), other.terms, self.terms))

    def observing(self, story: Story) -> Joint:
        """The same with what is observed in the story."""
        with pyro.validation_enabled(False):
            terms = story.likelihood(self.latent, self.utterances).log_prob(self.utterances.spectrum)
        return replace(self, terms=self.terms + torch.where(self.utterances.mask, terms, 0))


def latent_joint(story: Story, z: Tensor, utterances: Utterances) -> Joint:
    """The :class:`Joint` of z alone, alpha at both of its values; nothing is observed yet.

    Args:
        story: a noisy mixture, or any speech prior.
        z: (S, B, N, L).
        utterances: the batch.
    """
    values = z.unsqueeze(1)
    sites = latent_trace(story, utterances, alpha=both_alphas(z), z=values).nodes
    factors = conditionals(sites["z"]["fn"], values)
    with pyro.validation_enabled(False):
        terms = torch.where(utterances.mask, factors.log_prob(values), 0)
    prior = sites["alpha"]["fn"] if "alpha" in sites else None
    terms = terms.expand(-1, 1 if prior is None else 2, -1, -1)
    variance = factors.variance.expand(*terms.shape, -1)
    follows = factors is not sites["z"]["fn"]
    return Joint(prior, terms, sites["_RETURN"]["value"], variance, follows, story.reach, utterances)


def log_joint(story: Story, z: Tensor, utterances: Utterances) -> Joint:
    """The same with what is observed; arguments as of :func:`latent_joint`."""
    return latent_joint(story, z, utterances).observing(story)
