"""Priors of the mixture variable: P(alpha = 1) of every frame, as log-odds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from minvae_pyro.models.speech_prior import SpeechPrior, shallow_copy
from minvae_pyro.utterances import Utterances

LOGIT_BOUND = 30.0
"""Log-odds are kept within this bound, as in the published recipe; frames without a mouth sit on it."""


def audio_where_unseen(logit: Tensor, utterances: Utterances) -> Tensor:
    """Clamp log-odds and decide frames without a mouth for the audio component.

    Args:
        logit: log-odds of alpha = 1, broadcasting to (B, N).
        utterances: the batch.

    Returns:
        Tensor: (B, N).
    """
    logit = logit.clamp(-LOGIT_BOUND, LOGIT_BOUND)
    return torch.where(utterances.mouth_seen, logit, LOGIT_BOUND)


class Mixing(nn.Module):
    """Log-odds of alpha = 1 in ``logit``; a subclass says how they come about."""

    logit: Tensor

    def forward(self, utterances: Utterances) -> Tensor:
        """Log-odds of alpha = 1, (B, N)."""
        return audio_where_unseen(self.logit, utterances)


class LearntMixing(Mixing):
    """One learnt weight pi for all frames (arXiv 1912.10647).

    Args:
        weight: start value of pi in (0, 1).
    """

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(math.log(weight / (1 - weight))))


class FixedMixing(Mixing):
    """A weight pi that is not learnt.

    Args:
        weight: pi in (0, 1).
    """

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("logit", torch.tensor(math.log(weight / (1 - weight))), persistent=False)


class UtteranceMixing(Mixing):
    """Log-odds set per utterance or frame, re-estimated at test time by the M-step.

    Args:
        logit: (B, N) or (B, 1).
    """

    def __init__(self, logit: Tensor) -> None:
        super().__init__()
        self.register_buffer("logit", logit)

    def m_step(self, responsibility: Tensor, utterances: Utterances) -> None:
        """Set pi of each utterance to the mean responsibility of its frames with a mouth.

        Equation :eq:`mixing-update`.

        Args:
            responsibility: (B, N) in [0, 1].
            utterances: the batch.

        Example:
            >>> seen = Utterances.from_spectrum(torch.ones(4, 3), torch.zeros(4, 67, 67))
            >>> mixing = UtteranceMixing(torch.zeros(1, 4))
            >>> mixing.m_step(torch.tensor([[1.0, 1.0, 1.0, 0.0]]), seen)
            >>> mixing(seen).sigmoid()
            tensor([[0.7500, 0.7500, 0.7500, 0.7500]])
        """
        seen = utterances.mouth_seen & utterances.mask
        mean = (responsibility * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp_min(1)
        self.logit = mean.clamp(1e-6, 1 - 1e-6).logit().expand(seen.shape)


def reweigh(prior: SpeechPrior, weight: float | None) -> SpeechPrior:
    """A copy of the prior with another P(alpha = 1); the prior as it is for None, or without one weight for all.

    Args:
        prior: any speech prior.
        weight: pi in (0, 1).
    """
    if weight is None or not isinstance(getattr(prior, "mixing", None), Mixing):
        return prior
    weighed = shallow_copy(prior)
    weighed.mixing = FixedMixing(weight).to(next(prior.parameters()).device)
    return weighed
