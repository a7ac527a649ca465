"""What the engines share whose posterior is a set of values of z: expectation-maximisation around their E-step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.guides import ParticleGuide, UtteranceGuide
from minvae_pyro.inference.engine import InferenceEngine, update_alpha, update_noise
from minvae_pyro.models import NoisyMixture
from minvae_pyro.utterances import Utterances


@dataclass
class ParticleEM(InferenceEngine):
    """Alternates an E-step on the particles of a :class:`minvae_pyro.guides.ParticleGuide` with the shared M-step.

    ::

        E   particles ~ or -> p(z | x), alpha summed out       # a subclass says how: e_steps
        M   q(alpha), pi, noise and gain by the mean over the particles

    Attributes:
        iterations: EM iterations.
        steps: moves of every particle in each.
        chains: particles side by side.
    """

    iterations: int = 100
    steps: int = 1
    chains: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.iterations, self.steps, self.chains) < 1:
            raise ValueError(f"an engine needs at least 1 of iterations, steps and chains, not {self}")

    @abstractmethod
    def e_steps(
        self, mixture: NoisyMixture, guide: ParticleGuide, utterances: Utterances
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One E-step after the other, without end; the mixture may differ each time.

        Args:
            mixture: any prior plus any noise model.
            guide: gives the start, and q(alpha) where it is fixed.
            utterances: the noisy batch.

        Yields:
            tuple: particles to keep, (S, B, N, L), the current states of the chains last; and log p(x, z), (chains, B).
        """

    def posterior(self, guide: UtteranceGuide) -> ParticleGuide:
        """Particles that start where the guide stands."""
        return ParticleGuide.around(guide, self.chains)

    def run(self, mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances) -> Iterator[float]:
        """Alternate E-step and M-step; see :class:`InferenceEngine`. The objective is log p(x, z)."""
        if not isinstance(guide, ParticleGuide):
            raise UserError(f"{type(self).__name__} moves particles, which {type(guide).__name__} has not.")
        e_steps = self.e_steps(mixture, guide, utterances)
        for iteration, (particles, value) in zip(range(1, self.iterations + 1), e_steps, strict=False):
            guide.set_particles(particles)
            update_alpha(mixture, guide, mixture, utterances, iteration / self.iterations)
            update_noise(mixture, guide, utterances, self.chains)
            yield value.mean(0).sum().item()
