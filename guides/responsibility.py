"""Three ways to hold q(alpha = 1), all with one signature, and one that is fixed."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from minvae_pyro.guides.alpha_posterior import alpha_posterior
from minvae_pyro.models.alpha_priors import audio_where_unseen
from minvae_pyro.nn.base import Gate
from minvae_pyro.nn.gate import AgreementGate
from minvae_pyro.probability.bernoulli import DeferredBernoulli
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.probability.parameters import AbstractModule
from minvae_pyro.utterances import Utterances


@dataclass(frozen=True)
class Evidence:
    """What a rule may need; each call costs a pass of a network, so nothing is computed beforehand.

    Attributes:
        bounds: p(alpha), and L_a and L_v, each (B, N), at the current draw, or (..., B, N), one for each of the plates
            around; needs clean speech.
        visual: mean and scale of z by the mouth, each (B, N, L), and the variance of speech (B, N, F) at that mean.
    """

    bounds: Callable[[], tuple[dist.Distribution, Tensor, Tensor]]
    visual: Callable[[], tuple[Gaussian, Tensor]]

    def odds(self) -> tuple[dist.Distribution, Tensor]:
        """p(alpha), and L_a - L_v, (..., B, N)."""
        prior, audio, visual = self.bounds()
        return prior, audio - visual


class Responsibility(AbstractModule):
    """A rule for q(alpha = 1)."""

    @abstractmethod
    def forward(self, utterances: Utterances, evidence: Evidence) -> Tensor:
        """Log-odds of alpha = 1 on clean speech, (B, N)."""

    def posterior(self, utterances: Utterances, evidence: Evidence) -> dist.Distribution:
        """q(alpha) on clean speech, batch shape (B, N); independent over frames unless a rule overrides it."""
        return dist.Bernoulli(logits=self(utterances, evidence))

    def noisy(self, utterances: Utterances, evidence: Evidence) -> Tensor | None:
        """Log-odds on a noisy recording, (B, N), or None when the rule needs clean speech (the default)."""
        return None


class CollapsedResponsibility(Responsibility):
    """The closed form r = sigmoid(logit(pi) + L_a - L_v): no r to store, the bound is a log-sum-exp.

    The optimum of the bound (arXiv 1912.10647) at a draw of z: :eq:`best-responsibility`, :eq:`collapsed-bound`.
    """

    def forward(self, utterances: Utterances, evidence: Evidence) -> Tensor:
        """Log-odds of alpha = 1, (B, N)."""
        return self.posterior(utterances, evidence).logits

    def posterior(self, utterances: Utterances, evidence: Evidence) -> dist.Distribution:
        """q(alpha), a chain where p(alpha) is one; an ELBO gives it the bounds that it works out."""
        return DeferredBernoulli(
            utterances.noisy_power[..., 0], lambda prior, odds: alpha_posterior(prior, odds, utterances), evidence.odds
        )


class TableResponsibility(Responsibility):
    """The published recipe: r is kept per frame and refreshed once an epoch.

    Once trained, recordings that the table has no row for get the closed form of :class:`CollapsedResponsibility`.

    Args:
        utterances: rows, the size of the corpus.
        frames: longest utterance.
        weight: start value of r.
    """

    logit: Tensor
    fresh: Tensor

    def __init__(self, utterances: int, frames: int, weight: float = 0.5) -> None:
        super().__init__()
        start = math.log(weight / (1 - weight))
        self.register_buffer("logit", torch.full((utterances, frames), start))
        self.register_buffer("fresh", torch.full((utterances, frames), start))

    def forward(self, utterances: Utterances, evidence: Evidence) -> Tensor:
        """Log-odds of alpha = 1, (B, N)."""
        return self.posterior(utterances, evidence).logits

    def posterior(self, utterances: Utterances, evidence: Evidence) -> dist.Distribution:
        """q(alpha) as stored; in training mode the bounds prepare the next table on the way."""
        if not self.training and not self._holds(utterances):
            return CollapsedResponsibility().posterior(utterances, evidence)
        logit = self.logit[utterances.index, : utterances.frames].to(utterances.noisy_power.dtype)
        stored = dist.Bernoulli(logits=audio_where_unseen(logit, utterances))
        if not self.training:
            return stored

        def prepare(prior: Any, odds: Tensor) -> dist.Distribution:
            # one r for all the plates around: the best has the mean of their evidence
            evidence = odds.reshape(-1, *logit.shape).mean(0)
            fresh = alpha_posterior(prior, evidence, utterances).logits.reshape(-1, *logit.shape)[0]
            self.fresh[utterances.index, : utterances.frames] = fresh.to(self.fresh.dtype)
            return stored

        return DeferredBernoulli(utterances.noisy_power[..., 0], prepare, evidence.odds)

    def _holds(self, utterances: Utterances) -> bool:
        rows, frames = self.logit.shape
        return frames >= utterances.frames and int(utterances.index.max()) < rows

    def refresh(self) -> None:
        """Put the prepared table in force; the training loop calls it at the end of an epoch."""
        self.logit.copy_(self.fresh)


class FixedResponsibility(Responsibility):
    """A constant r. At 1/2 both encoders are trained at full weight: the bound is half the sum of theirs.

    Args:
        weight: r in (0, 1).
    """

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, utterances: Utterances, evidence: Evidence) -> Tensor:
        """Log-odds of alpha = 1, (B, N)."""
        logit = utterances.noisy_power.new_tensor(math.log(self.weight / (1 - self.weight)))
        return audio_where_unseen(logit, utterances)


class GatedResponsibility(Responsibility):
    """An amortised r(power, mouth), trained by the gradient that enumeration gives it. Equation :eq:`gate-log-odds`.

    Unlike the other rules it works on a noisy recording, where there are no L_a and L_v.

    Args:
        gate: log-odds from noisy power, predicted variance, p(z | mouth) and a mask.
    """

    def __init__(self, gate: Gate | None = None) -> None:
        super().__init__()
        self.gate = AgreementGate() if gate is None else gate

    def forward(self, utterances: Utterances, evidence: Evidence) -> Tensor:
        """Log-odds of alpha = 1, (B, N); the gradient trains the gate and not its inputs."""
        with torch.no_grad():
            visual, predicted = evidence.visual()
        mask = utterances.mask & utterances.mouth_seen
        return audio_where_unseen(self.gate(utterances.noisy_power, predicted, visual, mask), utterances)

    def noisy(self, utterances: Utterances, evidence: Evidence) -> Tensor:
        """The same as on clean speech."""
        return self(utterances, evidence)
