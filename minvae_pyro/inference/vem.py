"""Variational EM: the paper's engine, with closed forms for the speech, the mixture variable and the noise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from pyro import poutine
from pyro.infer import SVI
from pyro.optim import Adam
from torch import Tensor

from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.inference.engine import InferenceEngine, draw_latents, expectation, update_alpha
from minvae_pyro.models import NoisyMixture
from minvae_pyro.models.noise import FLOOR
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.utterances import Utterances


@dataclass
class VariationalEM(InferenceEngine):
    """q(s) q(z) q(alpha) with s not integrated out (arXiv 1912.10647, speech enhancement; VEM of arXiv 1910.10942).

    ::

        E-s      q(s) = N_c(mean, variance),  mean = variance / noise * x,
                 1 / variance = E_q[1 / (gain variance(z))] + 1 / noise
        E-z      gradient steps on E_q[log p(s | z)] - KL(q(z) || p(z | alpha)),
                 s entering by E_q|s|^2
        E-alpha  r = sigmoid(logit(pi) + E_q[log p(z | 1)] - E_q[log p(z | 0)])
        M        pi = mean r;  gain = mean of E_q|s|^2 E_q[1 / variance(z)];
                 noise fitted to E_q|x - s|^2

    The E-z step *is* SVI on the prior's own story of clean speech, with the expected power as the observation: no
    second model is written down. Where nothing is observed s is integrated out. Equations :eq:`vem-speech`,
    :eq:`vem-power` and :eq:`vem-gain`.

    Attributes:
        iterations: EM iterations.
        steps: gradient steps on q(z) in each.
        learning_rate: of Adam.
        samples: draws of z for the expectations over q(z).
    """

    iterations: int = 100
    steps: int = 2
    learning_rate: float = 0.05
    samples: int = 4

    def run(self, mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances) -> Iterator[float]:
        """Alternate the steps E-s, E-z, E-alpha and M; see :class:`InferenceEngine`."""
        # the prior is what training made it: its parameters are hidden from the optimiser
        model: Any = poutine.block(mixture.speech, hide_types=["param"])
        svi = SVI(model, guide, Adam({"lr": self.learning_rate}), AnalyticTraceEnum_ELBO(max_plate_nesting=2))
        for iteration in range(1, self.iterations + 1):
            precision = self._precision(mixture, guide, utterances)
            mean, variance = posterior_of_speech(mixture, precision, utterances)
            expected = mean.abs().square() + variance
            # scaled so that the prior, which knows nothing of the gain, gets speech at its own level
            clean = utterances.replace(spectrum=expected / mixture.gain)
            for _ in range(self.steps):
                loss = svi.step(clean)
            # before gain and noise move on: the loss belongs to those that the E-steps had
            bound = _bound(loss, mixture, mean, variance, utterances)
            update_alpha(mixture, guide, mixture.speech, clean, iteration / self.iterations)
            self._m_step(mixture, self._precision(mixture, guide, utterances), mean, variance, utterances)
            yield bound

    @torch.no_grad()
    def _precision(self, mixture: NoisyMixture, guide: UtteranceGuide, utterances: Utterances) -> Tensor:
        """E_q[1 / variance(z)], the gain left out, (B, N, F)."""
        latent, weight = draw_latents(mixture.speech, guide, utterances, self.samples)
        variance = mixture.speech.speech_variance(latent, utterances)
        return expectation(variance.clamp_min(FLOOR).reciprocal(), weight)

    @torch.no_grad()
    def _m_step(
        self, mixture: NoisyMixture, precision: Tensor, mean: Tensor, variance: Tensor, utterances: Utterances
    ) -> None:
        expected = mean.abs().square() + variance
        cells = utterances.evidence.expand(expected.shape)
        shared = (1, 2) if mixture.gain.shape[1] == 1 else (2,)
        count = cells.sum(shared, keepdim=True)
        fitted = (cells * expected * precision).sum(shared, keepdim=True) / count.clamp_min(FLOOR)
        mixture.gain = torch.where(count > 0, fitted, mixture.gain).clamp_min(FLOOR)
        remainder = (utterances.spectrum - mean).abs().square() + variance

        def statistics() -> tuple[Tensor, Tensor]:
            inverse = mixture.noise(utterances).clamp_min(FLOOR).reciprocal()
            return cells * remainder * inverse.square(), cells * inverse

        mixture.noise.m_step(statistics)


@torch.no_grad()
def posterior_of_speech(mixture: NoisyMixture, precision: Tensor, utterances: Utterances) -> tuple[Tensor, Tensor]:
    """Mean (complex) and variance of q(s), each (B, N, F), from E_q[1 / variance(z)] (B, N, F): :eq:`vem-speech`."""
    noise = mixture.noise(utterances).clamp_min(FLOOR)
    variance = (precision / mixture.gain + noise.reciprocal()).reciprocal()
    return variance / noise * utterances.spectrum, variance


def _bound(loss: float, mixture: NoisyMixture, mean: Tensor, variance: Tensor, utterances: Utterances) -> float:
    """The bound with s in it, nats, from the loss of the E-z step and the terms that s adds."""
    with torch.no_grad():
        noise = mixture.noise(utterances).clamp_min(FLOOR)
        remainder = (utterances.spectrum - mean).abs().square() + variance
        likelihood = -(math.pi * noise).log() - remainder / noise
        entropy = (math.pi * math.e * variance.clamp_min(FLOOR)).log()
        # the prior scored power at unit gain: log N_c(s) = log Exp(|s|^2 / gain) - log(pi gain)
        level = -(math.pi * mixture.gain).log()
        return ((likelihood + entropy + level) * utterances.evidence).sum().item() - loss
