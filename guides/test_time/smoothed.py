"""A guide at test time whose frames depend on each other: neighbouring z are correlated under the posterior."""

from __future__ import annotations

import math

import torch
from pyro.nn import PyroParam
from torch import Tensor
from torch.distributions import constraints

from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.guides.test_time.mean_field import MeanFieldGuide
from minvae_pyro.probability.gauss_markov import CorrelatedNormal
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.utterances import Utterances

STRONGEST = 0.99
"""Largest correlation of neighbours, short of one, where the conditional scale would vanish."""


class SmoothedGuide(MeanFieldGuide):
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

    def initialise(self, utterances: Utterances, begin: Gaussian, encoders: TrainingGuide | None, mixed: bool) -> None:
        """Start at ``begin``, correlated by the width."""
        super().initialise(utterances, begin, encoders, mixed)
        start = min(math.exp(-1 / self.width) if self.width else 0.0, 0.98 * STRONGEST)
        self.correlation = PyroParam(
            torch.full_like(begin[0][..., :1, :], start), constraint=constraints.interval(-STRONGEST, STRONGEST)
        )

    def z_given(self, alpha: Tensor | None) -> CorrelatedNormal:
        """q(z), batch shape (B, N), event shape (L,); :meth:`z_posterior` has its marginals."""
        return CorrelatedNormal(self.mean, self.scale, self.correlation)
