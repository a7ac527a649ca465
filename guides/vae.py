"""Guides of the plain priors: one posterior of z, from the sound or from the mouth."""

from __future__ import annotations

from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.guides.encoders import MouthEncoder, NoisyAudioEncoder, ZPosterior
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.utterances import Utterances


class AudioGuide(TrainingGuide):
    """q(z) = N(audio encoder(power)): the posterior of A-VAE (arXiv 1902.01605). It is trained by :eq:`vae-bound`.

    Args:
        audio: maps utterances to mean and scale of z.
    """

    def __init__(self, audio: ZPosterior | None = None) -> None:
        super().__init__()
        self.audio = NoisyAudioEncoder() if audio is None else audio

    def encode_audio(self, utterances: Utterances) -> Gaussian:
        """Mean and scale of q(z), each (B, N, L)."""
        return self.audio(utterances)


class VisualGuide(AudioGuide):
    """q(z) = N(visual encoder(mouth)): the posterior of V-VAE (arXiv 1908.02590).

    Args:
        visual: maps utterances to mean and scale of z.
    """

    def __init__(self, visual: ZPosterior | None = None) -> None:
        TrainingGuide.__init__(self)
        self.visual = MouthEncoder() if visual is None else visual

    def encode_audio(self, utterances: Utterances) -> Gaussian:
        """Mean and scale of q(z), each (B, N, L): from the mouth, for there is no other posterior."""
        return self.visual(utterances)
