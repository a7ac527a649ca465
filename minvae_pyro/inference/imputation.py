"""What an encoder reads where a recording says nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from minvae_pyro.guides.alpha_posterior import latent_at
from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.models import SpeechPrior
from minvae_pyro.utterances import Utterances

_ROUNDS = 2  # of decoder and encoder, after the first guess


@torch.no_grad()
def imputed(prior: SpeechPrior, encoders: TrainingGuide, utterances: Utterances) -> Utterances:
    """The same recordings, in cells that say nothing as the prior expects them.

    Encoders learnt from whole spectra: an empty band would be a sound that they never heard. What decoder and encoder
    agree on replaces it, beginning at the mean of a standard normal z. The likelihood has no such cells, so that this
    decides where inference starts and nothing else.

    Args:
        prior: any speech prior.
        encoders: its trained guide.
        utterances: the noisy batch.
    """
    if utterances.observed is None:
        return utterances
    filled = _filled(prior, utterances, utterances.power.new_zeros(*utterances.mask.shape, prior.latent_dim))
    for _ in range(_ROUNDS):
        filled = _filled(prior, filled, encoders.encode_audio(filled)[0])
    return filled


def _filled(prior: SpeechPrior, utterances: Utterances, z: Tensor) -> Utterances:
    """The same recordings, in cells that say nothing with the variance of speech at z, (B, N, L)."""
    latent = latent_at(prior, utterances, alpha=z.new_ones(()), z=z)
    expected = prior.speech_variance(latent, utterances).sqrt()
    spectrum = torch.where(utterances.evident, utterances.spectrum, expected)
    return utterances.replace(spectrum=spectrum, noisy_power=spectrum.abs().square())
