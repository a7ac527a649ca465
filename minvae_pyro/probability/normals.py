"""Normals that draw otherwise, and the pair of tensors that describes one."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import Normal
from torch import Tensor

from minvae_pyro.probability.random_numbers import normal

Gaussian = tuple[Tensor, Tensor]
"""Mean and standard deviation of a diagonal normal, each (B, N, L)."""


class CommonRandomNormal(Normal):
    """A normal over recordings and frames, batch shape (..., B, N, L), whose draws are those of a recording alone.

    Recordings share their random numbers (:mod:`minvae_pyro.probability.random_numbers`): results do not depend on the
    batch.
    """

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw, sample_shape + (..., B, N, L), differentiable."""
        return self.loc + self.scale * normal(self._extended_shape(sample_shape), self.loc)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw, sample_shape + (..., B, N, L)."""
        with torch.no_grad():
            return self.rsample(sample_shape)


class PresampledNormal(Normal):
    """A normal whose next reparameterised draw was made beforehand.

    A guide that derives a discrete posterior from a draw (the closed-form responsibility needs the likelihood of z)
    hands the same draw to ``pyro.sample``, so that bound and responsibility agree.

    Args:
        loc: mean, any shape.
        scale: standard deviation > 0, any shape.
        draw: the value that ``rsample`` returns, any shape; the three broadcast.
    """

    def __init__(self, loc: Tensor, scale: Tensor, draw: Tensor) -> None:
        loc, scale, self.draw = torch.broadcast_tensors(loc, scale, draw)
        super().__init__(loc, scale)

    def expand(self, batch_shape: Any, _instance: Any = None) -> PresampledNormal:
        """Expand parameters and draw alike."""
        return PresampledNormal(*(part.expand(batch_shape) for part in (self.loc, self.scale, self.draw)))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Return the draw made beforehand.

        Raises:
            ValueError: more than that one draw is requested.
        """
        if len(torch.Size(sample_shape)):
            raise ValueError("a PresampledNormal holds exactly one draw")
        return self.draw

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """The same, detached."""
        return self.rsample(sample_shape).detach()
