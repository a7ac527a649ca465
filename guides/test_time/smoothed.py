"""A guide at test time whose frames hang together: neighbouring codes are correlated under the posterior."""

from __future__ import annotations

import math

import pyro.distributions as dist
import torch
from pyro.nn import PyroParam
from torch import Tensor
from torch.distributions import constraints

from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.guides.test_time.base import UtteranceGuide
from minvae_pyro.models.speech_prior import SpeechPrior
from minvae_pyro.probability.gauss_markov import CorrelatedNormal
from minvae_pyro.probability.normals import CommonRandomNormal, Gaussian
from minvae_pyro.utterances import Utterances

STRONGEST = 0.99
"""Largest correlation of neighbours, short of one, where the conditional scale would vanish."""


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

    def initialise(
        self, prior: SpeechPrior, utterances: Utterances, begin: Gaussian, encoders: TrainingGuide | None
    ) -> None:
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
        return CommonRandomNormal(self.mean, self.scale).to_event(1)

    def z_given(self, alpha: Tensor | None) -> CorrelatedNormal:
        """q(z), batch shape (B, N), event shape (L,)."""
        return CorrelatedNormal(self.mean, self.scale, self.correlation)
