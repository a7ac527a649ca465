"""The observation at test time: any speech prior plus any noise model."""

from __future__ import annotations

import pyro
import torch
from pyro.nn import PyroModule
from torch import Tensor

from minvae_pyro.models.noise import FLOOR, NoiseModel
from minvae_pyro.models.speech_prior import SpeechPrior, spectral_likelihood
from minvae_pyro.utterances import Utterances


class NoisyMixture(PyroModule):
    """A noisy recording; the speech s is integrated out analytically (arXiv 1912.10647, observation model).

    ::

        z ~ speech.latent
        x | z ~ N_c(0, gain * speech variance(z) + noise variance)
        E[s | x, z] = gain * speech variance / (gain * speech variance + noise variance) * x

    Args:
        speech: the prior of clean speech; its parameters stay as they are.
        noise: the noise model.
        gain: loudness of the speech, (B, 1, 1) > 0. One per recording: a gain per frame throws away the level
            that the prior knows.
    """

    gain: Tensor

    def __init__(self, speech: SpeechPrior, noise: NoiseModel, gain: Tensor) -> None:
        super().__init__()
        # in a list: the prior is not a part that inference fits, and serves other mixtures too
        self._speech = [speech]
        self.noise = noise
        self.register_buffer("gain", gain)

    @property
    def speech(self) -> SpeechPrior:
        """The prior of clean speech."""
        return self._speech[0]

    def forward(self, utterances: Utterances) -> Tensor:
        """Run the generative story and observe the mixture at site ``x``."""
        plates = utterances.plates()
        z = self.speech.latent(utterances, plates)
        variance = self.speech_variance(z, utterances) + self.noise(utterances)
        with plates.every_frame():
            likelihood = spectral_likelihood(utterances.spectrum, variance).to_event(1)
            return pyro.sample("x", likelihood, obs=utterances.spectrum)

    def speech_variance(self, z: Tensor, utterances: Utterances) -> Tensor:
        """Variance of the speech in the mixture, gain included, (..., B, N, F)."""
        return self.gain * self.speech.speech_variance(z, utterances)

    @torch.no_grad()
    def wiener_gain(self, z: Tensor, utterances: Utterances) -> Tensor:
        """E[s | x, z] / x in [0, 1], (..., B, N, F)."""
        speech = self.speech_variance(z, utterances)
        return speech / (speech + self.noise(utterances)).clamp_min(FLOOR)

    @torch.no_grad()
    def m_step(self, z: Tensor, utterances: Utterances) -> None:
        """Update noise, then gain, by multiplicative steps; the likelihood never falls.

        Args:
            z: draws of the posterior, (S, B, N, L).
            utterances: the noisy batch.
        """
        unscaled = self.speech.speech_variance(z, utterances)
        self.noise.m_step(lambda: self._statistics(unscaled, utterances))
        variance = (self.gain * unscaled + self.noise(utterances)).clamp_min(FLOOR)
        mask = utterances.mask[..., None]
        rise = (mask * utterances.power * unscaled / variance.square()).sum((0, 2, 3))
        fall = (mask * unscaled / variance).sum((0, 2, 3))
        self.gain = self.gain * (rise / fall.clamp_min(FLOOR)).sqrt()[:, None, None]

    def _statistics(self, unscaled: Tensor, utterances: Utterances) -> tuple[Tensor, Tensor]:
        """Posterior means of ``|x|^2 / V^2`` and ``1 / V``, each (B, N, F), zero in padding."""
        variance = (self.gain * unscaled + self.noise(utterances)).clamp_min(FLOOR)
        inverse = variance.reciprocal() * utterances.mask[..., None]
        return (utterances.power * inverse.square()).mean(0), inverse.mean(0)
