"""The guide of the priors whose decoder sees the mouth: one posterior that hears and sees (arXiv 1908.02590)."""

from __future__ import annotations

import pyro
import pyro.distributions as dist

from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.models.audio_visual import AudioVisualVAE, ConditionalVAE
from minvae_pyro.nn.audio_visual import ConcatenatingEncoder
from minvae_pyro.nn.base import AudioVisualEncoder
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.utterances import Utterances


class AudioVisualGuide(TrainingGuide):
    """q(z) = N(encoder(heard, v)), v the features of the mouth that the prior sees too.

    Args:
        prior: the prior that is trained; it knows the features and, perhaps, what the mouth says of z.
        encoder: maps power (B, N, F) and features (B, N, V) to mean and scale, each (B, N, L).
    """

    def __init__(self, prior: AudioVisualVAE, encoder: AudioVisualEncoder | None = None) -> None:
        super().__init__()
        # in a list, so that the prior's weights are not the guide's as well
        self._prior = [prior]
        self.encoder = ConcatenatingEncoder(latent_dim=prior.latent_dim) if encoder is None else encoder

    def posterior(self, utterances: Utterances) -> Gaussian:
        """Mean and scale of q(z), each (B, N, L)."""
        return self.encoder(utterances.noisy_power, self._prior[0].visual_features(utterances))

    def encode_audio(self, utterances: Utterances) -> Gaussian:
        """Where z may start at test time, from the sound: the one posterior there is, which sees the mouth as well."""
        return self.posterior(utterances)

    def encode_visual(self, utterances: Utterances) -> Gaussian:
        """Where z may start at test time, from the mouth alone: the conditional prior, else the one posterior."""
        prior = self._prior[0]
        if isinstance(prior, ConditionalVAE):
            return prior.visual_component(utterances)
        return self.posterior(utterances)

    def forward(self, utterances: Utterances) -> None:
        """Sample ``z``."""
        with utterances.plates().every_frame():
            pyro.sample("z", dist.Normal(*self.posterior(utterances)).to_event(1))
