"""Monte Carlo expectation-maximisation by Metropolis-Hastings (arXiv 1902.01605, 1912.10647)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from minvae_pyro.guides import ParticleGuide
from minvae_pyro.guides.test_time.log_joint import Joint, log_joint
from minvae_pyro.inference.particle_em import ParticleEM
from minvae_pyro.models import NoisyMixture
from minvae_pyro.probability.random_numbers import normal, uniform
from minvae_pyro.utterances import Utterances


@dataclass
class MetropolisHastingsEM(ParticleEM):
    """Random-walk Metropolis-Hastings on z, every frame of every recording and chain at once (arXiv 1902.01605).

    Equation :eq:`metropolis-step`::

        proposal[n] ~ N(z[n], proposal_variance I)
        accepted with min(1, p(x, proposal) / p(x, z))      # for each frame by itself

    alpha is summed out where frames are independent given z, and redrawn exactly before every move where it is a chain.
    Where z follows from the frame before, even and odd frames move in turn: the ratio of a frame has the terms of
    itself and of the next while its neighbours stand still, so that each move is exact. Likewise, with more turns,
    where the variance of a frame depends on z of its neighbours.

    Attributes:
        iterations: EM iterations.
        steps: moves in each.
        chains: chains side by side.
        burn_in: the first of the steps, whose values are not kept.
        proposal_variance: of a move, in each dimension.
    """

    iterations: int = 100
    steps: int = 40
    chains: int = 1
    burn_in: int = 30
    proposal_variance: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.burn_in < self.steps or not self.proposal_variance > 0:
            raise ValueError(f"Metropolis-Hastings needs a burn_in below steps and a variance above 0, not {self}")

    @torch.no_grad()
    def e_steps(
        self, mixture: NoisyMixture, guide: ParticleGuide, utterances: Utterances
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Walk; see :class:`ParticleEM`."""
        z = guide.heads
        numbers = torch.arange(utterances.frames, device=z.device)
        while True:
            # the M-step has changed what z is worth
            joint = log_joint(mixture, z, utterances)
            apart = sum(joint.touched) + 1
            turns = [numbers % apart == turn for turn in range(apart)]
            kept = []
            for step in range(self.steps):
                alpha = None
                if joint.chained and guide.held is None:
                    chain: Any = joint.posterior()
                    alpha = chain.states(uniform(joint.evidence.shape, z))
                for turn in turns:
                    z, joint = self._move(mixture, guide, z, joint, alpha, turn & utterances.mask)
                if step >= self.burn_in:
                    kept.append(z)
            yield torch.cat(kept), joint.total(guide.held)

    def _move(
        self,
        mixture: NoisyMixture,
        guide: ParticleGuide,
        z: Tensor,
        joint: Joint,
        alpha: Tensor | None,
        movable: Tensor,
    ) -> tuple[Tensor, Joint]:
        """Propose for the frames that are movable, (B, N), and accept each by itself."""
        walk = self.proposal_variance**0.5 * normal(z.shape, z)
        proposal = torch.where(movable[..., None], z + walk, z)
        proposed = log_joint(mixture, proposal, joint.utterances)
        old, new = (one.frames(guide.held) if alpha is None else one.at(alpha) for one in (joint, proposed))
        before, after = joint.touched
        ratio = _moved(new - old, range(-before, after + 1))
        accepted = movable & (uniform(ratio.shape, ratio).log() < ratio)
        changed = _moved(accepted.to(ratio.dtype), range(-after, before + 1)) > 0
        return torch.where(accepted[..., None], proposal, z), joint.where(changed, proposed)


def _moved(values: Tensor, by: range) -> Tensor:
    """The sum, (..., N), over k in ``by`` of values[..., n + k], zero outside; ``by`` has 0 in it."""
    padded, frames = pad(values, (-by[0], by[-1])), values.shape[-1]
    return sum((padded[..., start : start + frames] for start in range(1, len(by))), padded[..., :frames])
