"""Stochastic variational inference on the noisy mixture, with multiplicative updates of the noise in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pyro.infer import SVI

from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.inference.engine import InferenceEngine, update_alpha, update_noise
from minvae_pyro.inference.pyro_parts import ELBO_USED, OPTIMISER_USED, make_elbo, make_optimiser
from minvae_pyro.models import NoisyMixture
from minvae_pyro.registry.names import Description
from minvae_pyro.utterances import Utterances


@dataclass
class StochasticVariational(InferenceEngine):
    """Alternates ``pyro.infer.SVI`` steps on q(z) with one M-step of noise and gain.

    The objective is the enumerated ELBO of the mixture, ``E_q[log p(x | z)] - KL(q(z, alpha) || p(z, alpha))``, the
    speech integrated out: equation :eq:`noisy-bound`. Any prior and any noise model will do. Another bound of Pyro's,
    and another optimiser, are named, or described with their arguments; a bound that does not enumerate draws alpha.

    Attributes:
        iterations: EM iterations.
        steps: SVI steps in each.
        learning_rate: of the optimiser.
        samples: draws of z in each M-step.
        elbo: the bound, such as ``RenyiELBO``.
        optimiser: of torch or of Pyro, such as ``ClippedAdam``.
    """

    iterations: int = 60
    steps: int = 2
    learning_rate: float = 0.05
    samples: int = 1
    elbo: Description = field(default=ELBO_USED, kw_only=True)
    optimiser: Description = field(default=OPTIMISER_USED, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        # what cannot be made is refused before anything runs
        make_elbo(self.elbo)
        if self.optimiser != OPTIMISER_USED or not self.learning_rate >= 0:
            make_optimiser(self.optimiser, self.learning_rate)  # imports the compiler, 0.1 GB

    def run(self, mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances) -> Iterator[float]:
        """Alternate steps of SVI with the M-step; see :class:`InferenceEngine`."""
        optimiser = make_optimiser(self.optimiser, self.learning_rate)
        svi = SVI(mixture, guide, optimiser, make_elbo(self.elbo))
        for iteration in range(1, self.iterations + 1):
            for _ in range(self.steps):
                loss = svi.step(utterances)
            update_alpha(mixture, guide, mixture, utterances, iteration / self.iterations)
            update_noise(mixture, guide, utterances, self.samples)
            # wake and sleep have a loss each
            yield -(loss[0] if isinstance(loss, tuple) else loss)
