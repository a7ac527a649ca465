"""Priors with an audio-visual decoder (Sadeghi et al., arXiv 1908.02590)."""

from __future__ import annotations

import pyro.distributions as dist
from torch import Tensor

from minvae_pyro.models.speech_prior import Latent, SpeechPrior
from minvae_pyro.models.vae import AudioVAE
from minvae_pyro.models.visual_features import FeatureComponent, MouthFeatures
from minvae_pyro.models.z_priors import ZPrior
from minvae_pyro.nn.audio_visual import ConcatenatingDecoder, FeaturePerceptron
from minvae_pyro.nn.base import AudioVisualDecoder, FeatureEncoder, VisualFeatures
from minvae_pyro.utterances import Utterances


class AudioVisualVAE(AudioVAE):
    """AV-VAE: the z of A-VAE, and a decoder of z and the mouth (arXiv 1908.02590).

    ::

        v = features(mouth)                                 # zero in frames without one
        for n in frames:
            z[n] ~ N(0, I)                                  # z_prior
            s[n] | z[n] ~ N_c(0, diag variance(z[n], v[n])) # speech_variance

    Args:
        latent_dim: L.
        visual_features: maps utterances to features of the mouth (B, N, V); a convolutional network's 32 when omitted.
        decoder: maps z (..., L) and features (..., V) to variance (..., F); layers of 128 tanh units when omitted.
    """

    def __init__(
        self,
        latent_dim: int = 32,
        visual_features: VisualFeatures | None = None,
        decoder: AudioVisualDecoder | None = None,
    ) -> None:
        SpeechPrior.__init__(self)
        self.latent_dim = latent_dim
        self.visual_features = MouthFeatures() if visual_features is None else visual_features
        self.decoder = ConcatenatingDecoder(latent_dim) if decoder is None else decoder

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        """Variance of speech (..., B, N, F) from z (..., B, N, L) and the mouth."""
        return self.decoder(latent.z, self.visual_features(utterances))


class ConditionalVAE(AudioVisualVAE):
    """AV-CVAE: the prior of z, too, depends on the mouth (arXiv 1908.02590).

    Equation :eq:`conditional-prior`::

        v = features(mouth)                                 # zero in frames without one
        for n in frames:
            z[n] ~ N(mu(v[n]), diag var(v[n]))              # z_prior; N(0, I) without a mouth
            s[n] | z[n] ~ N_c(0, diag variance(z[n], v[n])) # speech_variance

    Args:
        latent_dim: L.
        visual_features: maps utterances to features of the mouth (B, N, V); a convolutional network's 32 when omitted.
        decoder: maps z (..., L) and features (..., V) to variance (..., F); layers of 128 tanh units when omitted.
        network: maps features (..., V) to mean and scale of z; one layer of 128 tanh units when omitted.
    """

    def __init__(
        self,
        latent_dim: int = 32,
        visual_features: VisualFeatures | None = None,
        decoder: AudioVisualDecoder | None = None,
        network: FeatureEncoder | None = None,
    ) -> None:
        super().__init__(latent_dim, visual_features, decoder)
        network = FeaturePerceptron(latent_dim=latent_dim) if network is None else network
        self.visual_component: ZPrior = FeatureComponent(self.visual_features, network)

    def z_prior(self, utterances: Utterances) -> dist.Distribution:
        """p(z | mouth), batch shape (B, N), event shape (L,)."""
        return dist.Normal(*self.visual_component(utterances)).to_event(1)
