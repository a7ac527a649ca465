"""Point-estimate expectation-maximisation: z at its most probable value (PEEM, arXiv 2211.02728)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from minvae_pyro.guides import ParticleGuide
from minvae_pyro.guides.test_time.log_joint import log_joint
from minvae_pyro.inference.particle_em import ParticleEM
from minvae_pyro.models import NoisyMixture
from minvae_pyro.utterances import Utterances


@dataclass
class PointEM(ParticleEM):
    """z at its maximum a posteriori, by steps of Adam between M-steps (arXiv 2211.02728).

    The objective is log p(x, z), alpha summed out: equation :eq:`log-joint`. Nothing is drawn: frames that the prior
    does not tie together do not affect each other, nor do recordings.

    Attributes:
        iterations: EM iterations.
        steps: steps of Adam in each.
        chains: points that are climbed side by side; all start alike, unless the guide has a start for each alpha.
        learning_rate: of Adam.
    """

    iterations: int = 100
    steps: int = 2
    chains: int = 1
    learning_rate: float = 0.05

    def e_steps(
        self, mixture: NoisyMixture, guide: ParticleGuide, utterances: Utterances
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Climb; see :class:`ParticleEM`."""
        z = guide.heads.clone().requires_grad_()
        adam = torch.optim.Adam([z], self.learning_rate)
        while True:
            for _ in range(self.steps):
                value = log_joint(mixture, z, utterances).total(guide.held)
                (z.grad,) = torch.autograd.grad(-value.sum(), z)
                adam.step()
            yield z.detach(), value.detach()
