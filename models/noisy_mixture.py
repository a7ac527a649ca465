"""The observation at test time: any speech prior plus any noise model."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor

from minvae_pyro.models.noise import FLOOR, NoiseModel
from minvae_pyro.models.speech_prior import Latent, SpeechPrior, spectral_likelihood
from minvae_pyro.utterances import Plates, Utterances


class NoisyMixture(PyroModule):
    """A noisy recording; the speech s is integrated out analytically (arXiv 1912.10647, observation model).

    Equations :eq:`noisy-mixture` and :eq:`wiener-filter`::

        z, alpha ~ speech.latent                            # alpha where the prior has it
        x | z, alpha ~ N_c(0, gain * speech variance(z, alpha) + noise variance)
        E[s | x, z, alpha] =
            gain * speech variance / (gain * speech variance + noise variance) * x

    Args:
        speech: the prior of clean speech; its parameters stay as they are.
        noise: the noise model.
        gain: loudness of the speech, (B, 1, 1) > 0, one per recording; or (B, N, 1), which throws away the level that
            the prior knows.

    Example:
        >>> from minvae_pyro.models import AudioVAE, Latent, StationaryNoise
        >>> noisy = Utterances.from_spectrum(torch.ones(7, 513, dtype=torch.complex64))
        >>> noise = StationaryNoise().start(noisy)
        >>> mixture = NoisyMixture(AudioVAE(), noise, torch.ones(1, 1, 1))
        >>> gain = mixture.wiener_gain(Latent(torch.zeros(1, 7, 32)), noisy)
        >>> gain.shape, bool(((gain > 0) & (gain < 1)).all())
        (torch.Size([1, 7, 513]), True)
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

    @property
    def reach(self) -> int:
        """That of the speech prior."""
        return self.speech.reach

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        """Sample the latent sites of the speech prior."""
        return self.speech.latent(utterances, plates)

    def forward(self, utterances: Utterances) -> Tensor:
        """Run the generative story and observe the mixture at site ``x``."""
        plates = utterances.plates()
        # first: enumeration wants sites outside of a plate before those inside
        self.noise.declare(utterances, plates)
        latent = self.latent(utterances, plates)
        likelihood = self.likelihood(latent, utterances)
        with plates.every_frame():
            return pyro.sample("x", likelihood, obs=utterances.spectrum)

    def likelihood(self, latent: Latent, utterances: Utterances) -> dist.Distribution:
        """p(x | z, alpha), batch shape (..., B, N), event shape (F,)."""
        variance = self.speech_variance(latent, utterances) + self.noise(utterances)
        return spectral_likelihood(utterances, variance)

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        """Variance of the speech in the mixture, gain included, (..., B, N, F)."""
        return self.gain * self.speech.speech_variance(latent, utterances)

    @torch.no_grad()
    def wiener_gain(self, latent: Latent, utterances: Utterances) -> Tensor:
        """E[s | x, z, alpha] / x in [0, 1], (..., B, N, F)."""
        speech = self.speech_variance(latent, utterances)
        return speech / (speech + self.noise(utterances)).clamp_min(FLOOR)

    @torch.no_grad()
    def m_step(self, latent: Latent, utterances: Utterances, weight: Tensor | None = None) -> None:
        """Update noise, then gain, by multiplicative steps; the likelihood never falls. Equation :eq:`noise-update`.

        Args:
            latent: draws of the posterior, z (..., B, N, L).
            utterances: the noisy batch; cells that say nothing have no say here either.
            weight: probability of each draw, (..., B, N); alike when omitted.
        """
        unscaled = self.speech.speech_variance(latent, utterances).flatten(0, -4)  # (S, B, N, F)
        weights = 1 / len(unscaled) if weight is None else weight.flatten(0, -3)[..., None]
        share = utterances.evidence * weights
        self.noise.m_step(lambda: self._statistics(unscaled, share, utterances))
        variance = (self.gain * unscaled + self.noise(utterances)).clamp_min(FLOOR)
        rise = (share * utterances.power * unscaled / variance.square()).sum((0, 3))
        self.move_gain(rise, (share * unscaled / variance).sum((0, 3)))

    def move_gain(self, rise: Tensor, fall: Tensor) -> None:
        """Take the multiplicative step of the gain.

        Args:
            rise: posterior mean of ``|x|^2 v / V^2`` summed over frequencies, (B, N), zero in padding; v is the
                variance of speech at unit gain, V that of the mixture.
            fall: the same of ``v / V``.
        """
        if self.gain.shape[1] == 1:
            rise, fall = rise.sum(1, keepdim=True), fall.sum(1, keepdim=True)
        step = torch.where(fall > 0, (rise / fall.clamp_min(FLOOR)).sqrt(), 1.0)
        self.gain = (self.gain * step[..., None]).clamp_min(FLOOR)

    def _statistics(self, unscaled: Tensor, share: Tensor, utterances: Utterances) -> tuple[Tensor, Tensor]:
        """Posterior means of ``|x|^2 / V^2`` and ``1 / V``, each (B, N, F), zero in padding."""
        inverse = (self.gain * unscaled + self.noise(utterances)).clamp_min(FLOOR).reciprocal()
        return (share * utterances.power * inverse.square()).sum(0), (share * inverse).sum(0)
