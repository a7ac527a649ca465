"""Stochastic variational inference on the noisy mixture, with multiplicative updates of the noise in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyro.infer import SVI
from pyro.optim import Adam

from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.inference.engine import InferenceEngine, draw_latents, update_alpha
from minvae_pyro.models import NoisyMixture
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.utterances import Utterances


@dataclass
class StochasticVariational(InferenceEngine):
    """Alternates ``pyro.infer.SVI`` steps on q(z) with one M-step of noise and gain.

    The objective is the enumerated ELBO of the mixture, ``E_q[log p(x | z)] - KL(q(z, alpha) || p(z, alpha))``, the
    speech integrated out: equation :eq:`noisy-bound`. Any prior and any noise model will do.

    Attributes:
        iterations: EM iterations.
        steps: SVI steps in each.
        learning_rate: of Adam.
        samples: draws of z in each M-step.
    """

    iterations: int = 60
    steps: int = 2
    learning_rate: float = 0.05
    samples: int = 1

    def run(self, mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances) -> Iterator[float]:
        """Alternate steps of SVI with the M-step; see :class:`InferenceEngine`."""
        svi = SVI(mixture, guide, Adam({"lr": self.learning_rate}), AnalyticTraceEnum_ELBO(max_plate_nesting=2))
        for iteration in range(1, self.iterations + 1):
            for _ in range(self.steps):
                loss = svi.step(utterances)
            update_alpha(mixture, guide, mixture, utterances, iteration / self.iterations)
            latent, weight = draw_latents(mixture.speech, guide, utterances, self.samples)
            mixture.m_step(latent, utterances, weight)
            yield -loss
