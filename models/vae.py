"""The two plain priors that MIN-VAE starts from."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from minvae_pyro.models.speech_prior import Latent, SpeechPrior, within
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.nn.base import Decoder
from minvae_pyro.utterances import Plates, Utterances


class AudioVAE(SpeechPrior):
    """A-VAE: speech from a standard normal z (Leglaive et al., MLSP 2018, arXiv 1902.01605).

    Equation :eq:`vae-story`::

        for n in frames:
            z[n] ~ N(0, I)                            # z_prior
            s[n] ~ N_c(0, diag variance(z[n]))        # speech_variance

    Args:
        latent_dim: L.
        decoder: maps z (..., L) to variance (..., F); a perceptron with 128 tanh units when omitted.
    """

    def __init__(self, latent_dim: int = 32, decoder: Decoder | None = None) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.decoder: nn.Module = SpectrumDecoder(latent_dim) if decoder is None else decoder

    def z_prior(self, utterances: Utterances) -> dist.Distribution:
        """p(z), event shape (L,)."""
        zeros = utterances.power.new_zeros(self.latent_dim)
        return dist.Normal(zeros, torch.ones_like(zeros)).to_event(1)

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        """Sample ``z``, (B, N, L)."""
        with plates.every_frame():
            return Latent(pyro.sample("z", self.z_prior(utterances)))

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        """Variance of speech (..., B, N, F) from z (..., B, N, L)."""
        return self.decoder(within(latent.z, utterances))


class VisualVAE(AudioVAE):
    """V-VAE: the same generative story as :class:`AudioVAE`, trained with a guide that reads only the mouth.

    They differ in the posterior, :class:`minvae_pyro.guides.VisualGuide` (V-VAE is introduced in arXiv 1908.02590).

    Args:
        latent_dim: L.
        decoder: maps z (..., L) to variance (..., F); a perceptron with 128 tanh units when omitted.
    """
