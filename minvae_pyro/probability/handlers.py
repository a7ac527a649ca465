"""Ablations of alpha as effect handlers: values fixed from outside of models, guides and inference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _DIM_ALLOCATOR, _PYRO_STACK, get_plates

from minvae_pyro.probability.bernoulli import LOGIT_BOUND, KnownAlpha
from minvae_pyro.probability.settled import alone


class condition_alpha(Messenger):
    """Under this handler alpha is 1 (sound) or 0 (mouth) in every frame, in models and guides alike.

    Unlike :func:`pyro.poutine.condition` it replaces the distribution at the site, on both sides, and so reaches the
    closed form of q(alpha) too. It does nothing to a prior without alpha. Of several, the innermost holds.
    Pyro has one stack of handlers for all threads: others wait until this one is left.

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
        self._turns: list[Any] = []

    def __enter__(self) -> Self:
        turn = alone()
        turn.__enter__()
        self._turns.append(turn)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        try:
            return super().__exit__(*error)
        finally:
            self._turns.pop().__exit__(None, None, None)

    def known(self, distribution: Any) -> KnownAlpha:
        """What stands in the place of a distribution of alpha."""
        if isinstance(distribution, KnownAlpha):
            return distribution
        # not its log-odds, which a deferred posterior does not have yet
        values = distribution.enumerate_support(expand=False)
        return KnownAlpha(logits=values.new_full(distribution.batch_shape, self.log_odds))

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == "alpha":
            msg["fn"] = self.known(msg["fn"])


def in_force(distribution: Any) -> Any:
    """A distribution of alpha as :class:`condition_alpha` around the caller makes it; without one, as it is."""
    for handler in reversed(_PYRO_STACK):
        if isinstance(handler, condition_alpha):
            distribution = handler.known(distribution)
    return distribution


@contextmanager
def hidden_block() -> Iterator[None]:
    """Run a story as if nothing were around it but :class:`condition_alpha`.

    A guide runs its prior within its own run and plates: no handler of the guide may see the model's sites or plates.
    """
    with alone():
        stack, plates = list(_PYRO_STACK), _DIM_ALLOCATOR._stack
        _PYRO_STACK[:] = [handler for handler in stack if isinstance(handler, condition_alpha)]
        _DIM_ALLOCATOR._stack = []
        try:
            yield
        finally:
            _PYRO_STACK[:] = stack
            _DIM_ALLOCATOR._stack = plates


def plates_around() -> torch.Size:
    """Sizes of the plates left of utterances and frames that the caller runs in: particles, takes, predictive draws.

    Pyro broadcasts what a sample statement draws; a guide that draws before its own has to know them.

    Example:
        >>> import pyro
        >>> with pyro.plate("takes", 3, dim=-4):
        ...     plates_around()
        torch.Size([3, 1])
    """
    sizes = {plate.dim: plate.size for plate in get_plates() if plate.vectorized and plate.dim < -2}
    return torch.Size(sizes.get(dim, 1) for dim in range(min(sizes, default=-2), -2))
