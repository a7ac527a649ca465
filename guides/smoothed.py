"""A guide at test time whose frames hang together: neighbouring codes are correlated under the posterior."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from pyro.distributions import Normal, TorchDistribution
from pyro.nn import PyroParam
from torch import Tensor
from torch.distributions import constraints

from minvae_pyro.distributions import CommonNormal
from minvae_pyro.draws import normal
from minvae_pyro.guides.starts import Encoders
from minvae_pyro.guides.utterance import UtteranceGuide
from minvae_pyro.models.speech_prior import SpeechPrior
from minvae_pyro.networks import Gaussian
from minvae_pyro.utterances import Utterances

STRONGEST = 0.99
"""Largest correlation of neighbours, short of one, where the conditional scale would vanish."""


class CorrelatedNormal(TorchDistribution):
    """Normals with given marginals and correlation ``c^|n - m|`` between frames n and m: a Gauss-Markov process.

    ::

        z[1] ~ N(mean[1], scale[1]^2)
        z[n] ~ N(mean[n] + c scale[n] / scale[n-1] (z[n-1] - mean[n-1]), (1 - c^2) scale[n]^2)

    Frames are the last batch axis. Neither drawing nor scoring loops over them.

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

    def unrolled(self, value: Tensor) -> TorchDistribution:
        """The factors at a value (..., B, N, L): independent normals, each frame given the one before."""
        deviation = (value - self.mean) / self.scale
        before = torch.nn.functional.pad(deviation[..., :-1, :], (0, 0, 1, 0))  # nothing is before the first
        width = (1 - self.correlation.square()).sqrt().expand(self.scale.shape)
        width = torch.cat([torch.ones_like(width[..., :1, :]), width[..., 1:, :]], -2)
        return Normal(self.mean + self.scale * self.correlation * before, self.scale * width).to_event(1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of every frame given the one before, (..., B, N)."""
        return self.unrolled(value).log_prob(value)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw all frames, sample_shape + (..., B, N, L), differentiable; log N steps of doubling.

        Recordings share their random numbers, see :mod:`minvae_pyro.draws`.
        """
        shape = torch.Size(sample_shape) + self.batch_shape + self.event_shape
        noise = normal(shape, self.mean).expand(shape)
        first, later = noise[..., :1, :], noise[..., 1:, :] * (1 - self.correlation.square()).sqrt()
        deviation, reach, frames = torch.cat([first, later], -2), self.correlation, shape[-2]
        step = 1
        while step < frames:
            # each frame holds what came of the noise of the last ``step`` frames; now of twice as many
            earlier = torch.nn.functional.pad(deviation[..., :-step, :], (0, 0, step, 0))
            deviation, reach, step = deviation + reach * earlier, reach.square(), 2 * step
        return self.mean + self.scale * deviation


class SmoothedGuide(UtteranceGuide):
    """q(z) q(alpha), q(z) a Gauss-Markov process over the frames; how strongly neighbours agree is fitted.

    ::

        for n in frames:
            alpha[n] ~ q(alpha[n])                  # only for priors that have it; enumerated
            z[n] ~ N(mean[n], diag scale[n]^2),  correlation(z[n, l], z[m, l]) = c[l]^|n - m|

    For priors with dynamics, whose posterior has correlated frames (structured inference, arXiv 1609.09869). With a
    prior of independent frames it can only come back to the mean field.

    Args:
        width: frames over which the correlation falls to 1/e before the first step; 0 starts at the mean field.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        if not width >= 0:
            raise ValueError(f"a correlation needs a width of at least 0, not {width}")
        self.width = width

    def place(self, prior: SpeechPrior, utterances: Utterances, begin: Gaussian, encoders: Encoders | None) -> None:
        """Start where ``begin`` says, correlated by the width."""
        mean, scale = begin
        self.mean = PyroParam(mean.detach().clone())
        self.scale = PyroParam(scale.detach().clone(), constraint=constraints.positive)
        start = min(math.exp(-1 / self.width) if self.width else 0.0, 0.98 * STRONGEST)
        self.correlation = PyroParam(
            torch.full_like(mean[..., :1, :], start), constraint=constraints.interval(-STRONGEST, STRONGEST)
        )

    def z_posterior(self) -> dist.Distribution:
        """Marginals of q(z), batch shape (B, N), event shape (L,): their parameters know nothing of the neighbours."""
        return CommonNormal(self.mean, self.scale).to_event(1)

    def z_given(self, alpha: Tensor | None) -> CorrelatedNormal:
        """q(z), batch shape (B, N), event shape (L,)."""
        return CorrelatedNormal(self.mean, self.scale, self.correlation)
