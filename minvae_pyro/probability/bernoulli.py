"""Distributions of the mixture variable alpha: known, or in a closed form that waits for its evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _PYRO_STACK
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.utils import lazy_property


class settling(Messenger):
    """Under this handler a guide may leave q(alpha) open: whoever has set it up gives the evidence afterwards."""


class DeferredBernoulli(TorchDistribution):
    """q(alpha) that follows from p(alpha) and the evidence ``L_a - L_v``.

    The evidence costs a pass of the decoder, which an ELBO that enumerates alpha makes anyway: such an ELBO
    (:class:`minvae_pyro.probability.elbo.AnalyticTraceEnum_ELBO`) tells :meth:`given` what it has found. Whoever
    scores it before makes it look for the evidence on its own.

    Args:
        like: (B, N), dtype and device of alpha.
        rule: q(alpha), batch shape (B, N), from p(alpha) and the evidence for alpha = 1 against alpha = 0, (B, N).
        ask: both of these; not to be called within the plates.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, like: Tensor, rule: Callable[[Any, Tensor], Any], ask: Callable[[], tuple[Any, Tensor]]) -> None:
        self.like, self.rule, self.ask = like, rule, ask
        super().__init__(like.shape, validate_args=False)

    @torch.no_grad()
    def given(self, prior: Any, evidence: Tensor) -> Any:
        """The distribution itself; no gradient, for the bound is flat in q(alpha) at its optimum.

        Args:
            prior: p(alpha).
            evidence: for alpha = 1 against alpha = 0, (B, N).
        """
        return self.rule(prior, evidence)

    @lazy_property
    def settled(self) -> Any:
        """The distribution itself, at the evidence that it has to ask for."""
        with torch.no_grad():
            return self.given(*self.ask())

    def unless_awaited(self) -> Any:
        """The distribution itself, or this one under :class:`settling`."""
        return self if any(isinstance(handler, settling) for handler in _PYRO_STACK) else self.settled

    def log_prob(self, value: Tensor) -> Tensor:
        """Of values that broadcast to (..., B, N)."""
        return self.settled.log_prob(value)

    def expand(self, batch_shape: Any, _instance: Any = None) -> DeferredBernoulli:
        """The same along more axes."""
        shape = torch.Size(batch_shape)
        return DeferredBernoulli(
            self.like.expand(shape), lambda prior, evidence: self.rule(prior, evidence).expand(shape), self.ask
        )

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Zero and one, (2, 1, 1), or (2, B, N) when expanded."""
        values = torch.arange(2, dtype=self.like.dtype, device=self.like.device)
        values = values.reshape(-1, *(1 for _ in self.batch_shape))
        return values.expand(2, *self.batch_shape) if expand else values


LOGIT_BOUND = 30.0
"""Log-odds are kept within this bound, as in the published recipe; frames without a mouth sit on it."""


class KnownAlpha(dist.Bernoulli):
    """alpha when it is known: evidence does not move it."""

    def tilted(self, evidence: Tensor) -> KnownAlpha:
        """The posterior after any evidence, which is the prior."""
        return self
