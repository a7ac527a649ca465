"""The likelihoods of STFT coefficients and of their power."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

VARIANCE_FLOOR = 1e-10
"""Smallest variance that a likelihood accepts; a digital zero at zero variance has no density."""


class _LogDensity(torch.autograd.Function):
    """``-log v - power / v``, elementwise, in half of the passes over memory that its autograd takes."""

    @staticmethod
    def forward(ctx: Any, variance: Tensor, power: Tensor) -> Tensor:
        ctx.save_for_backward(variance, power)
        return (power / variance).add_(variance.log()).neg_()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        variance, power = ctx.saved_tensors
        slopes: list[Tensor | None] = [None, None]
        if ctx.needs_input_grad[0]:
            slopes[0] = (power / variance).sub_(1).div_(variance).mul_(slope).sum_to_size(variance.shape)
        if ctx.needs_input_grad[1]:
            slopes[1] = (-slope / variance).sum_to_size(power.shape)
        return slopes[0], slopes[1]


class _MeanPower(TorchDistribution):
    """What the two likelihoods share: one positive parameter, v = E|x|^2."""

    arg_constraints: ClassVar[dict[str, Any]] = {"mean_power": constraints.positive}

    def __init__(self, mean_power: Tensor, validate_args: bool | None = None) -> None:
        self.mean_power = mean_power.clamp_min(VARIANCE_FLOOR)
        super().__init__(mean_power.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> TorchDistribution:
        new = self._get_checked_instance(type(self), _instance)
        new.mean_power = self.mean_power.expand(batch_shape)
        super(_MeanPower, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new


class ComplexNormal(_MeanPower):
    """Zero-mean circular complex normal, ``log p(x) = -log(pi v) - |x|^2 / v`` (arXiv 1912.10647).

    Equation :eq:`complex-normal`.

    Args:
        mean_power: v > 0, any shape; clamped at :data:`VARIANCE_FLOOR`.
        validate_args: as in every torch distribution.

    Example:
        >>> ComplexNormal(torch.tensor([1.0, 4.0])).log_prob(torch.tensor([0j, 2 + 0j]))
        tensor([-1.1447, -3.5310])
    """

    support = constraints.independent(constraints._Dependent(), 0)  # the complex plane: every value is allowed

    def _validate_sample(self, value: Tensor) -> None:
        if not value.is_complex():
            raise ValueError(f"ComplexNormal scores complex values, got {value.dtype}")
        if not torch.isfinite(value).all():
            raise ValueError("ComplexNormal scores finite values, got NaN or infinity")

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of complex values; real tensor of the broadcast shape."""
        if self._validate_args:
            self._validate_sample(value)
        power = value.real.square() + value.imag.square()
        return _LogDensity.apply(self.mean_power, power) - math.log(math.pi)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw complex values; real and imaginary part each carry half of the variance."""
        scale = (self.mean_power.detach() / 2).sqrt().expand(self._extended_shape(sample_shape))
        return torch.complex(torch.randn_like(scale) * scale, torch.randn_like(scale) * scale)


class Tempered(TorchDistribution):
    """A distribution whose log-density counts for a share: equation :eq:`independent-cells`.

    No normalised density, but a factor of one: observations that repeat each other are no more than what they say once.

    Args:
        base: any distribution.
        share: of its log-density, broadcasting to its batch shape.

    Example:
        >>> cells = ComplexNormal(torch.tensor([1.0, 4.0]))
        >>> Tempered(cells, torch.tensor(0.5)).log_prob(torch.tensor([0j, 2 + 0j]))
        tensor([-0.5724, -1.7655])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, base: Any, share: Tensor, validate_args: bool | None = None) -> None:
        self.base, self.share = base, share
        super().__init__(base.batch_shape, base.event_shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """That of the base."""
        return self.base.support

    def expand(self, batch_shape: Any, _instance: Any = None) -> TorchDistribution:
        """The same with a larger batch."""
        return Tempered(self.base.expand(batch_shape), self.share, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """The share of the base's log-density."""
        return self.share * self.base.log_prob(value)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw from the base."""
        return self.base.sample(sample_shape)


class PowerExponential(_MeanPower):
    """The same likelihood on power: ``|x|^2`` is exponential with mean v; arguments as of :class:`ComplexNormal`.

    Differs from :class:`ComplexNormal` by the constant log(pi), so every parameter gradient is identical.
    """

    support = constraints.nonnegative

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of non-negative power."""
        if self._validate_args:
            self._validate_sample(value)
        return _LogDensity.apply(self.mean_power, value)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw power values."""
        mean = self.mean_power.detach()
        return mean.new_empty(self._extended_shape(sample_shape)).exponential_() * mean
