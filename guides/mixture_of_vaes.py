"""The guide of priors that choose between two VAEs: each VAE keeps its own posterior (arXiv 1911.03930)."""

from __future__ import annotations

from minvae_pyro.guides.audio_visual import AudioVisualGuide
from minvae_pyro.guides.encoders import ZPosterior
from minvae_pyro.guides.min_vae import MixtureGuide
from minvae_pyro.guides.responsibility import Responsibility
from minvae_pyro.models.mixture_of_vaes import MixtureOfVAEs
from minvae_pyro.nn.base import AudioVisualEncoder
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.utterances import Utterances


class TwoVAEsGuide(MixtureGuide):
    """q(alpha) q(z | alpha), with the posterior of A-VAE for one alpha and that of AV-CVAE for the other.

    ::

        for n in frames:
            alpha[n] ~ q(alpha[n])                  # responsibility; enumerated, never sampled
            z[n] | alpha[n] = 1 ~ N(audio encoder(power[n]))
            # v: features of the mouth, the visual VAE's
            z[n] | alpha[n] = 0 ~ N(encoder(power[n], v[n]))

    Args:
        prior: the prior that is trained; its visual VAE has an audio-visual decoder.
        audio: maps utterances to mean and scale under alpha = 1.
        encoder: maps power (B, N, F) and features of the mouth (B, N, V) to mean and scale under alpha = 0.
        responsibility: the rule for q(alpha); collapsed when omitted.
    """

    visual: AudioVisualGuide

    def __init__(
        self,
        prior: MixtureOfVAEs,
        audio: ZPosterior | None = None,
        encoder: AudioVisualEncoder | None = None,
        responsibility: Responsibility | None = None,
    ) -> None:
        super().__init__(prior, audio, AudioVisualGuide(prior.visual, encoder), responsibility)

    def encode_visual(self, utterances: Utterances) -> Gaussian:
        """Mean and scale of q(z | alpha = 0), from sound and mouth, each (B, N, L)."""
        return self.visual.encode_audio(utterances)
