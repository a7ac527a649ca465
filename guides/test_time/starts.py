"""Where the posterior of z starts at test time: any callable with this signature will do."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.models.speech_prior import SpeechPrior
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.probability.random_numbers import normal
from minvae_pyro.utterances import Utterances


class Start(Protocol):
    """Mean and scale of q(z) before the first step."""

    def __call__(
        self, prior: SpeechPrior, encoders: TrainingGuide, utterances: Utterances, trust: Tensor, seed: int
    ) -> Gaussian:
        """Start q(z).

        Args:
            prior: the speech prior.
            encoders: the trained guide.
            utterances: the noisy batch.
            trust: prior P(alpha = 0), (B, N).
            seed: for starts that draw.
        """
        ...


def _blend(encoders: TrainingGuide, utterances: Utterances, trust: Tensor) -> Gaussian:
    """Blend of both posteriors; the mouth's share is ``trust``, and zero in frames without a mouth."""
    share = (trust * utterances.mouth_seen)[..., None]
    (mean, scale), (visual_mean, visual_scale) = encoders.encode_audio(utterances), encoders.encode_visual(utterances)
    return share * visual_mean + (1 - share) * mean, share * visual_scale + (1 - share) * scale


def audio(prior: SpeechPrior, encoders: TrainingGuide, utterances: Utterances, trust: Tensor, seed: int) -> Gaussian:
    """The audio encoder's posterior of the noisy sound."""
    return encoders.encode_audio(utterances)


def visual(prior: SpeechPrior, encoders: TrainingGuide, utterances: Utterances, trust: Tensor, seed: int) -> Gaussian:
    """The visual encoder's posterior, which no noise can reach (arXiv 1912.10647); audio in frames without a mouth."""
    return _blend(encoders, utterances, torch.ones_like(trust))


def both(prior: SpeechPrior, encoders: TrainingGuide, utterances: Utterances, trust: Tensor, seed: int) -> Gaussian:
    """Between the two posteriors, by the trust in the mouth. Equation :eq:`blended-start`."""
    return _blend(encoders, utterances, trust)


def prior(prior: SpeechPrior, encoders: TrainingGuide, utterances: Utterances, trust: Tensor, seed: int) -> Gaussian:
    """The mean of the standard normal."""
    mean, scale = encoders.encode_audio(utterances)
    return torch.zeros_like(mean), torch.ones_like(scale)


def random(prior: SpeechPrior, encoders: TrainingGuide, utterances: Utterances, trust: Tensor, seed: int) -> Gaussian:
    """A draw from the standard normal, one for all recordings."""
    mean, scale = encoders.encode_audio(utterances)
    return normal(mean.shape, mean, torch.Generator().manual_seed(seed)).expand(mean.shape), torch.ones_like(scale)


STARTS: dict[str, Start] = {"visual": visual, "audio": audio, "both": both, "prior": prior, "random": random}
"""Starts by their short names."""
