"""Langevin dynamics inside expectation-maximisation (LDEM, arXiv 2211.02728)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from minvae_pyro.guides import ParticleGuide
from minvae_pyro.guides.test_time.log_joint import Joint, latent_joint, log_joint
from minvae_pyro.inference.particle_em import ParticleEM
from minvae_pyro.models import NoisyMixture
from minvae_pyro.probability.random_numbers import normal
from minvae_pyro.utterances import Utterances

FARTHEST = 1.0
"""A coordinate drifts at most so many of its scales in one step: a start far off would else fly apart."""


@dataclass
class LangevinEM(ParticleEM):
    """Unadjusted Langevin steps on z, all chains, recordings and frames at once (arXiv 2211.02728).

    Equation :eq:`langevin-step`::

        energy = log p(x, z) - total_variation * sum over n of |z[n] - z[n - 1]|
        z <- z + step_size / 2 * scale^2 * gradient of energy + scale * N(0, step_size I)

    ``scale`` is the room that the prior leaves z where the E-step begins (``room``), one for a standard normal.
    alpha is summed out. The steps are not corrected: draws approach the posterior as ``step_size`` becomes small.

    Attributes:
        iterations: EM iterations.
        steps: Langevin steps in each.
        chains: chains side by side.
        burn_in: the first of the steps, whose values are not kept.
        step_size: eta.
        total_variation: how strongly neighbouring frames are drawn together; not a part of the objective.
    """

    iterations: int = 50
    steps: int = 10
    chains: int = 5
    burn_in: int = 9
    step_size: float = 0.01
    total_variation: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.burn_in < self.steps or not self.step_size > 0 or not self.total_variation >= 0:
            raise ValueError(f"Langevin needs burn_in < steps, step_size > 0 and total_variation >= 0, not {self}")

    def e_steps(
        self, mixture: NoisyMixture, guide: ParticleGuide, utterances: Utterances
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Drift and diffuse; see :class:`ParticleEM`."""
        z = guide.heads
        mask = utterances.mask[..., None]
        while True:
            kept = []
            scale = room(latent_joint(mixture, z.detach(), utterances))
            for step in range(self.steps):
                z = z.requires_grad_()
                value = log_joint(mixture, z, utterances).total(guide.held)
                climbed = value.sum() - self.total_variation * variation(z, utterances)
                (gradient,) = torch.autograd.grad(climbed, z)
                drift = (self.step_size / 2 * scale * gradient).clamp(-FARTHEST, FARTHEST)
                z = (z + mask * scale * (drift + self.step_size**0.5 * normal(z.shape, z))).detach()
                if step >= self.burn_in:
                    kept.append(z)
            yield torch.cat(kept), value.detach()


@torch.no_grad()
def room(joint: Joint) -> Tensor:
    """How far z of a frame may go before its prior, or that of the next frame, objects, (S, B, N, L).

    ``joint`` gives the variance of each frame given the one before; of two values of alpha, the smaller counts.
    """
    precision = joint.variance.amin(1).reciprocal()
    if joint.follows:
        after = precision * joint.utterances.mask[..., None]
        precision = precision + pad(after[..., 1:, :], (0, 0, 0, 1))
    return precision.rsqrt()


def variation(z: Tensor, utterances: Utterances) -> Tensor:
    """Sum of ``|z[n] - z[n - 1]|``, z (S, B, N, L), over everything but padding (arXiv 2211.02728)."""
    both = utterances.mask[:, 1:] & utterances.mask[:, :-1]
    return (z.diff(dim=-2).abs() * both[..., None]).sum()
