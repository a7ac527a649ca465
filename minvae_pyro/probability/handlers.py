"""Ablations of alpha as effect handlers: what is known, said from outside of models, guides and inference."""

from __future__ import annotations

from typing import Any

import torch
from pyro.poutine.block_messenger import BlockMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _PYRO_STACK

from minvae_pyro.probability.bernoulli import LOGIT_BOUND, KnownAlpha


class condition_alpha(Messenger):
    """Under this handler alpha is known in models and guides alike, in every frame.

    Unlike :func:`pyro.poutine.condition` it does not fix the value at the site, which a guide enumerates, but replaces
    the distribution there, on both sides, and so reaches the closed form of q(alpha) too. It does nothing to a prior
    without alpha. Of several, the innermost holds.

    Args:
        value: 1 for the sound, 0 for the mouth.

    Example:
        >>> import pyro
        >>> import pyro.distributions as dist
        >>> with condition_alpha(1):
        ...     alpha = pyro.sample("alpha", dist.Bernoulli(torch.full((3,), 0.5)))
        >>> alpha
        tensor([1., 1., 1.])
    """

    def __init__(self, value: int) -> None:
        super().__init__()
        if value not in (0, 1):
            raise ValueError(f"alpha is 0 or 1, not {value}")
        self.log_odds = LOGIT_BOUND if value else -LOGIT_BOUND

    def known(self, distribution: Any) -> KnownAlpha:
        """What stands in the place of a distribution of alpha."""
        if isinstance(distribution, KnownAlpha):
            return distribution
        # not its log-odds, which a posterior that waits for evidence does not have yet
        return KnownAlpha(logits=torch.full_like(distribution.enumerate_support()[0], self.log_odds))

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == "alpha":
            msg["fn"] = self.known(msg["fn"])


def in_force(distribution: Any) -> Any:
    """A distribution of alpha as :class:`condition_alpha` around the caller makes it; without one, as it is."""
    for handler in reversed(_PYRO_STACK):
        if isinstance(handler, condition_alpha):
            distribution = handler.known(distribution)
    return distribution


class hidden_block(BlockMessenger):
    """Run a story whose sites nobody outside sees, as under :func:`pyro.poutine.block`, but what is known stays known.

    A guide asks its prior for p(alpha) in the middle of its own run: the model's sites must not reach its trace, but
    :class:`condition_alpha` around it must reach the model.
    """

    def _process_message(self, msg: Any) -> None:
        super()._process_message(msg)
        if msg["type"] == "sample" and msg["name"] == "alpha":
            msg["fn"] = in_force(msg["fn"])
