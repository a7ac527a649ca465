"""Normals whose frames follow from one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pyro.distributions import Normal, TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import pad

from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.probability.random_numbers import normal

Transition = Callable[[Tensor, slice], Gaussian]
"""Mean and scale of z, each (..., B, n, L), in the frames of a slice of length n, from z (..., B, n, L) in the frames
before them. Whatever else a frame depends on, the transition knows by the slice."""


class MarkovNormal(TorchDistribution):
    """A first-order Markov chain of diagonal normals, ``p(z_1) prod_n p(z_n | z_{n-1})`` (Krishnan et al., 1609.09869).

    Equation :eq:`kalman-prior`. Frames are the last batch axis: :meth:`log_prob` gives one conditional term per frame,
    so that a padding mask leaves a shorter chain. Scoring does not loop over the frames; drawing does.

    Args:
        initial: mean and scale of the first frame, each (..., B, L).
        transition: the later frames given the ones before.
        frames: N, at least 1.
        validate_args: as in every torch distribution.

    Example:
        >>> start = torch.zeros(1, 2), torch.ones(1, 2)
        >>> def step(before, frames):
        ...     return before, torch.ones_like(before)
        >>> walk = MarkovNormal(start, step, frames=5)
        >>> walk.sample().shape, walk.log_prob(torch.zeros(1, 5, 2)).shape
        (torch.Size([1, 5, 2]), torch.Size([1, 5]))
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, initial: Gaussian, transition: Transition, frames: int, validate_args: bool | None = None
    ) -> None:
        mean, scale = torch.broadcast_tensors(*initial)
        self.initial = mean, scale
        self.transition = transition
        super().__init__((*mean.shape[:-1], frames), mean.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> MarkovNormal:
        """Expand every axis but that of the frames, which the chain has already."""
        *before, frames = batch_shape
        if frames != self.frames:
            raise ValueError(f"a chain of {self.frames} frames cannot become one of {frames}")
        mean, scale = (part.expand(*before, *self.event_shape) for part in self.initial)
        return MarkovNormal((mean, scale), self.transition, frames, self._validate_args)

    @property
    def frames(self) -> int:
        """N."""
        return self.batch_shape[-1]

    def conditionals(self, value: Tensor) -> TorchDistribution:
        """Independent normals, each frame given the one before, at a value (..., B, N, L); batch shape (..., B, N)."""
        # the first frame has its own distribution, and takes the shape of what follows it
        shape = torch.broadcast_shapes(value.shape, self.batch_shape + self.event_shape)
        first = [part.expand(*shape[:-2], shape[-1])[..., None, :] for part in self.initial]
        if self.frames == 1:
            return Normal(*first).to_event(1)
        later = self.transition(value[..., :-1, :], slice(1, self.frames))
        following = (*shape[:-2], self.frames - 1, shape[-1])
        joined = [torch.cat([one, part.expand(following)], -2) for one, part in zip(first, later, strict=True)]
        return Normal(*joined).to_event(1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of every frame given the one before, (..., B, N)."""
        if self._validate_args:
            self._validate_sample(value)
        return self.conditionals(value).log_prob(value)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw the frames one after the other, sample_shape + (..., B, N, L), differentiable."""
        like = self.initial[0]
        noise = torch.randn(self._extended_shape(sample_shape), dtype=like.dtype, device=like.device)
        return self._follow(lambda mean, scale, frame: mean + scale * noise[..., frame, :])[0]

    def mean_path(self) -> Gaussian:
        """Mean and scale of every frame, each (..., B, N, L), when the frame before is at its own mean."""
        _, mean, scale = self._follow(lambda mean, scale, frame: mean)
        return mean, scale

    def _follow(self, step: Callable[[Tensor, Tensor, int], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Values chosen frame by frame, and the mean and scale that each was chosen by."""
        mean, scale = self.initial
        path = [(step(mean, scale, 0), mean, scale)]
        for frame in range(1, self.frames):
            value = path[-1][0]
            mean, scale = (part[..., 0, :] for part in self.transition(value[..., None, :], slice(frame, frame + 1)))
            path.append((step(mean, scale, frame), mean, scale))
        values, means, scales = (torch.stack(torch.broadcast_tensors(*parts), -2) for parts in zip(*path, strict=True))
        return values, means, scales


class CorrelatedNormal(TorchDistribution):
    """Normals with given marginals and correlation ``c^|n - m|`` between frames n and m: a Gauss-Markov process.

    Frames are the last batch axis. Neither drawing nor scoring loops over them::

        z[1] ~ N(mean[1], scale[1]^2)
        z[n] ~ N(mean[n] + c scale[n] / scale[n-1] (z[n-1] - mean[n-1]), (1 - c^2) scale[n]^2)

    Args:
        mean: of each frame, (..., B, N, L).
        scale: of each frame, (..., B, N, L) > 0.
        correlation: c of each dimension, (..., B, 1, L) in (-1, 1).
        validate_args: as in every torch distribution.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, mean: Tensor, scale: Tensor, correlation: Tensor, validate_args: bool | None = None) -> None:
        self._mean, self.scale, self.correlation = mean, scale, correlation
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> CorrelatedNormal:
        """Expand every axis but that of the frames, which the process has already."""
        shape = torch.Size(batch_shape) + self.event_shape
        correlation = self.correlation.expand(*shape[:-2], 1, shape[-1])
        return CorrelatedNormal(self.mean.expand(shape), self.scale.expand(shape), correlation, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """(..., B, N, L)."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """Of the marginals, (..., B, N, L)."""
        return self.scale.square()

    def conditionals(self, value: Tensor) -> TorchDistribution:
        """The factors at a value (..., B, N, L): independent normals, each frame given the one before."""
        deviation = (value - self.mean) / self.scale
        before = pad(deviation[..., :-1, :], (0, 0, 1, 0))  # nothing is before the first
        width = (1 - self.correlation.square()).sqrt().expand(self.scale.shape)
        width = torch.cat([torch.ones_like(width[..., :1, :]), width[..., 1:, :]], -2)
        return Normal(self.mean + self.scale * self.correlation * before, self.scale * width).to_event(1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of every frame given the one before, (..., B, N)."""
        return self.conditionals(value).log_prob(value)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw all frames, sample_shape + (..., B, N, L), differentiable; log N steps of doubling.

        Recordings share their random numbers, see :mod:`minvae_pyro.probability.random_numbers`.
        """
        shape = self._extended_shape(sample_shape)
        noise = normal(shape, self.mean).expand(shape)
        first, later = noise[..., :1, :], noise[..., 1:, :] * (1 - self.correlation.square()).sqrt()
        deviation, reach, frames = torch.cat([first, later], -2), self.correlation, shape[-2]
        step = 1
        while step < frames:
            # each frame holds what came of the noise of the last ``step`` frames; now of twice as many
            earlier = pad(deviation[..., :-step, :], (0, 0, step, 0))
            deviation, reach, step = deviation + reach * earlier, reach.square(), 2 * step
        return self.mean + self.scale * deviation
