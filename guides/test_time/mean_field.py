"""Guides at test time whose frames are independent."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from pyro.nn import PyroParam
from torch import Tensor
from torch.distributions import constraints

from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.guides.test_time.base import UtteranceGuide
from minvae_pyro.probability.normals import CommonRandomNormal, Gaussian
from minvae_pyro.utterances import Utterances


class MeanFieldGuide(UtteranceGuide):
    """q(z) q(alpha), factorised over frames (arXiv 1912.10647, speech enhancement).

    ::

        for n in frames:
            alpha[n] ~ q(alpha[n])                  # only for priors that have it; enumerated
            z[n] ~ N(mean[n], diag scale[n]^2)      # fitted
    """

    def initialise(self, utterances: Utterances, begin: Gaussian, encoders: TrainingGuide | None, mixed: bool) -> None:
        """Start at ``begin``."""
        mean, scale = begin
        self.mean = PyroParam(mean.detach().clone())
        self.scale = PyroParam(scale.detach().clone(), constraint=constraints.positive)

    def z_posterior(self) -> dist.Distribution:
        """q(z), batch shape (B, N), or q(z | alpha), (2, B, N), by where it was started; event shape (L,)."""
        return CommonRandomNormal(self.mean, self.scale).to_event(1)


class PointGuide(MeanFieldGuide):
    """A point estimate of z (maximum a posteriori) with the same closed-form q(alpha), started at the mean."""

    def z_posterior(self) -> dist.Distribution:
        """A Dirac at the mean."""
        return dist.Delta(self.mean, event_dim=1)

    @torch.no_grad()
    def draw(self, samples: int) -> dict[str, Tensor]:
        """The point itself, (1, B, N, L): more draws would be the same."""
        return {"z": self.mean.detach()[None]}


class MixtureUtteranceGuide(MeanFieldGuide):
    """q(alpha) q(z | alpha): a posterior for each modality, each started by its own encoder.

    ::

        for n in frames:
            alpha[n] ~ q(alpha[n])                              # enumerated
            z[n] | alpha[n] ~ N(mean[alpha, n], diag scale[alpha, n]^2)

    The start that arXiv 1912.10647 argues for, kept for both values of alpha, and the only family in which two priors
    with different latent spaces (arXiv 1911.03930) can each be right. For a prior without alpha it is the mean field.
    """

    z_by_alpha = True

    def initialise(self, utterances: Utterances, begin: Gaussian, encoders: TrainingGuide | None, mixed: bool) -> None:
        """Start from the mouth under alpha = 0, from the sound under alpha = 1; from ``begin`` without encoders."""
        if mixed:
            starts = [begin, begin]
            if encoders is not None:
                with torch.no_grad():
                    starts = [encoders.encode_visual(utterances), encoders.encode_audio(utterances)]
            mean, scale = (torch.stack(torch.broadcast_tensors(*parts)) for parts in zip(*starts, strict=True))
            begin = mean, scale
        super().initialise(utterances, begin, encoders, mixed)


class PatientMixtureGuide(MixtureUtteranceGuide):
    """q(alpha) q(z | alpha) whose q(alpha) stays at the prior until both posteriors of z had time to converge.

    Before the noise is known the evidence shows no more than which encoder started nearer to the mixture; the posterior
    that loses a frame there is never fitted again, and the first choice is the last. No engine stops for its tolerance
    before the choice. Engines that move particles sum alpha out and need no patience.

    Args:
        patience: share of the engine's run, 0 to 1, after which q(alpha) takes its closed form.
    """

    def __init__(self, patience: float = 0.67) -> None:
        super().__init__()
        if not 0 <= patience <= 1:
            raise ValueError(f"patience is a share of an engine's run, 0 to 1, not {patience}")
        self.patience = patience
