"""Distributions of the mixture variable alpha: known, or in a closed form whose evidence comes later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from pyro.distributions.score_parts import ScoreParts
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.utils import lazy_property

LOGIT_BOUND = 30.0
"""Log-odds are kept within this bound, as in the published recipe; frames without a mouth sit on it."""


class DeferredBernoulli(TorchDistribution):
    """q(alpha) that follows from p(alpha) and the evidence ``L_a - L_v``, which may come later.

    The evidence costs a pass of the decoder, which an ELBO that enumerates alpha makes anyway and gives to
    :meth:`resolve` (:class:`minvae_pyro.probability.elbo.AnalyticTraceEnum_ELBO`). Other requests for
    log-probabilities, log-odds, a mean or a draw compute the evidence, once.

    Args:
        like: (B, N), dtype and device of alpha.
        rule: q(alpha), batch shape (B, N), from p(alpha) and the evidence for alpha = 1 against alpha = 0, (B, N).
        ask: both of these.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, like: Tensor, rule: Callable[[Any, Tensor], Any], ask: Callable[[], tuple[Any, Tensor]]) -> None:
        self.like, self.rule, self.ask = like, rule, ask
        super().__init__(like.shape, validate_args=False)

    @torch.no_grad()
    def resolve(self, prior: Any, evidence: Tensor) -> Any:
        """q(alpha) from p(alpha) and the evidence; no gradient, for the bound is flat in q(alpha) at its optimum."""
        return self.rule(prior, evidence).expand(self.batch_shape)

    @lazy_property
    def resolved(self) -> Any:
        """The distribution itself, at the evidence that it computes."""
        with torch.no_grad():
            return self.resolve(*self.ask())

    @property
    def logits(self) -> Tensor:
        """Log-odds of alpha = 1, (B, N)."""
        return self.resolved.logits

    @property
    def mean(self) -> Tensor:
        """P(alpha = 1), (B, N)."""
        return self.resolved.mean

    def log_prob(self, value: Tensor) -> Tensor:
        """Of values that broadcast to (..., B, N)."""
        return self.resolved.log_prob(value)

    def score_parts(self, value: Tensor, *args: Any, **kwargs: Any) -> ScoreParts:
        """Of values that broadcast to (..., B, N), perhaps enumerated."""
        return self.resolved.score_parts(value, *args, **kwargs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw, sample_shape + (B, N)."""
        return self.resolved.sample(sample_shape)

    def expand(self, batch_shape: Any, _instance: Any = None) -> DeferredBernoulli:
        """The same along more axes."""
        return DeferredBernoulli(self.like.expand(batch_shape), self.rule, self.ask)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Zero and one, (2, 1, 1), or (2, B, N) when expanded."""
        return dist.Bernoulli(logits=self.like).enumerate_support(expand)


class KnownAlpha(dist.Bernoulli):
    """alpha when it is known: evidence does not move it."""

    def tilted(self, evidence: Tensor) -> KnownAlpha:
        """The posterior after any evidence, which is the prior."""
        return self
