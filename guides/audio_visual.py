"""The guide of the priors with an audio-visual decoder: one posterior from sound and mouth (arXiv 1908.02590)."""

from __future__ import annotations

from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.models.audio_visual import AudioVisualVAE, ConditionalVAE
from minvae_pyro.nn.audio_visual import ConcatenatingEncoder
from minvae_pyro.nn.base import AudioVisualEncoder
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.utterances import Utterances


class AudioVisualGuide(TrainingGuide):
    """q(z) = N(encoder(power, v)), v the features of the mouth that the prior has too.

    Args:
        prior: the prior that is trained; gives the features and, if it is conditional, p(z | mouth).
        encoder: maps power (B, N, F) and features (B, N, V) to mean and scale, each (B, N, L).
    """

    def __init__(self, prior: AudioVisualVAE, encoder: AudioVisualEncoder | None = None) -> None:
        super().__init__()
        self._prior = [prior]
        self.encoder = ConcatenatingEncoder(latent_dim=prior.latent_dim) if encoder is None else encoder

    def encode_audio(self, utterances: Utterances) -> Gaussian:
        """Mean and scale of q(z), each (B, N, L): from the mouth as well, for there is no other posterior."""
        return self.encoder(utterances.noisy_power, self._prior[0].visual_features(utterances))

    def encode_visual(self, utterances: Utterances) -> Gaussian:
        """Where z may start at test time, from the mouth alone: the conditional prior, else the one posterior."""
        prior = self._prior[0]
        return (
            prior.visual_component(utterances) if isinstance(prior, ConditionalVAE) else self.encode_audio(utterances)
        )
