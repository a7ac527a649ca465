"""Priors of the mixture variable alpha: independent frames, or a Markov chain."""

from __future__ import annotations

import math
from abc import abstractmethod

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from minvae_pyro.models.speech_prior import SpeechPrior, shallow_copy
from minvae_pyro.probability.bernoulli import LOGIT_BOUND
from minvae_pyro.probability.markov import BinaryMarkovChain, independent_frames
from minvae_pyro.probability.parameters import AbstractModule
from minvae_pyro.utterances import Utterances


def audio_where_unseen(logit: Tensor, utterances: Utterances) -> Tensor:
    """Log-odds of alpha = 1, (B, N), clamped, and decided for the audio component in frames without a mouth."""
    logit = logit.clamp(-LOGIT_BOUND, LOGIT_BOUND)
    return torch.where(utterances.mouth_seen, logit, LOGIT_BOUND)


class AlphaPrior(AbstractModule):
    """p(alpha): a module that gives the distribution of the mixture variable in every frame."""

    @abstractmethod
    def forward(self, utterances: Utterances) -> dist.Distribution:
        """p(alpha), batch shape (B, N)."""

    def condition_on(self, utterances: Utterances) -> AlphaPrior:
        """A prior of each recording's own, which :meth:`m_step` may change; the default is this one, which stays."""
        return self

    def m_step(self, alpha: dist.Distribution, utterances: Utterances) -> None:
        """Re-estimate what belongs to a recording from q(alpha), batch shape (B, N); nothing by default."""


class IndependentAlphaPrior(AlphaPrior):
    """Frames are independent, log-odds of alpha = 1 in ``logit``; a subclass defines them."""

    logit: Tensor

    @abstractmethod
    def __init__(self) -> None:
        super().__init__()

    def forward(self, utterances: Utterances) -> dist.Bernoulli:
        """p(alpha), batch shape (B, N)."""
        return dist.Bernoulli(logits=audio_where_unseen(self.logit, utterances))

    def condition_on(self, utterances: Utterances) -> UtteranceAlphaPrior:
        """One pi for each recording, starting at this one's."""
        return UtteranceAlphaPrior(self(utterances).logits)


class LearntAlphaPrior(IndependentAlphaPrior):
    """One learnt weight pi for all frames (arXiv 1912.10647).

    Args:
        weight: start value of pi in (0, 1).
    """

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.logit = nn.Parameter(_log_odds(weight))


class FixedAlphaPrior(IndependentAlphaPrior):
    """A weight pi that is not learnt.

    Args:
        weight: pi in (0, 1).
    """

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("logit", _log_odds(weight), persistent=False)


class UtteranceAlphaPrior(IndependentAlphaPrior):
    """Log-odds per utterance or frame, (B, N) or (B, 1), re-estimated at test time by the M-step."""

    def __init__(self, logit: Tensor) -> None:
        super().__init__()
        self.register_buffer("logit", logit)

    def m_step(self, alpha: dist.Distribution, utterances: Utterances) -> None:
        """Set pi of each utterance to the mean responsibility of its frames with a mouth (arXiv 1912.10647, M-step).

        Equation :eq:`mixing-update`.

        Example:
            >>> seen = Utterances.from_spectrum(torch.ones(4, 3), torch.zeros(4, 67, 67))
            >>> alpha_prior = UtteranceAlphaPrior(torch.zeros(1, 4))
            >>> alpha_prior.m_step(dist.Bernoulli(torch.tensor([[1.0, 1.0, 1.0, 0.0]])), seen)
            >>> alpha_prior(seen).mean
            tensor([[0.7500, 0.7500, 0.7500, 0.7500]])
        """
        seen = utterances.mouth_seen & utterances.mask
        mean = (alpha.mean * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp_min(1)
        self.logit = mean.clamp(1e-6, 1 - 1e-6).logit().expand(seen.shape)


def reweigh(prior: SpeechPrior, weight: float | None) -> SpeechPrior:
    """A copy of the prior with ``weight`` as P(alpha = 1); the prior itself for None, or without one weight for all."""
    if weight is None or not isinstance(getattr(prior, "alpha_prior", None), IndependentAlphaPrior):
        return prior
    weighed = shallow_copy(prior)
    weighed.alpha_prior = FixedAlphaPrior(weight).to(next(prior.parameters()).device)
    return weighed


class MarkovAlphaPrior(AlphaPrior):
    """A chain by three log-odds of alpha = 1, each broadcasting to (B, N); a subclass defines them.

    Frames without a mouth are the sound's, and so is padding: they do not depend on the frame before.

    Attributes:
        start: in the first frame.
        after_visual: after a frame of alpha = 0.
        after_audio: after a frame of alpha = 1.
    """

    start: Tensor
    after_visual: Tensor
    after_audio: Tensor

    @abstractmethod
    def __init__(self) -> None:
        super().__init__()

    def forward(self, utterances: Utterances) -> BinaryMarkovChain:
        """p(alpha), batch shape (B, N)."""
        first = torch.arange(utterances.frames, device=utterances.mask.device) == 0
        shown = utterances.replace(mouth_seen=utterances.mouth_seen & utterances.mask)
        after_visual = torch.where(first, self.start, self.after_visual)
        return BinaryMarkovChain(audio_where_unseen(after_visual, shown), audio_where_unseen(self.after_audio, shown))

    def condition_on(self, utterances: Utterances) -> UtteranceMarkovAlphaPrior:
        """One chain for each recording, starting at this one."""
        return UtteranceMarkovAlphaPrior(self, len(utterances))


class LearntMarkovAlphaPrior(MarkovAlphaPrior):
    """One learnt chain for all recordings.

    Args:
        stay_audio: start value of P(alpha_n = 1 | alpha_{n-1} = 1).
        stay_visual: start value of P(alpha_n = 0 | alpha_{n-1} = 0).
        start: start value of P(alpha_1 = 1).
    """

    def __init__(self, stay_audio: float = 0.9, stay_visual: float = 0.9, start: float = 0.5) -> None:
        super().__init__()
        self.start = nn.Parameter(_log_odds(start))
        self.after_visual = nn.Parameter(-_log_odds(stay_visual))
        self.after_audio = nn.Parameter(_log_odds(stay_audio))


class FixedMarkovAlphaPrior(MarkovAlphaPrior):
    """A chain that is not learnt.

    Args:
        stay_audio: P(alpha_n = 1 | alpha_{n-1} = 1).
        stay_visual: P(alpha_n = 0 | alpha_{n-1} = 0).
        start: P(alpha_1 = 1).
    """

    def __init__(self, stay_audio: float = 0.9, stay_visual: float = 0.9, start: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("start", _log_odds(start), persistent=False)
        self.register_buffer("after_visual", -_log_odds(stay_visual), persistent=False)
        self.register_buffer("after_audio", _log_odds(stay_audio), persistent=False)


class UtteranceMarkovAlphaPrior(MarkovAlphaPrior):
    """A chain for each of ``size`` recordings, starting at ``chain``, re-estimated at test time by the M-step."""

    def __init__(self, chain: MarkovAlphaPrior, size: int) -> None:
        super().__init__()
        for name in ("start", "after_visual", "after_audio"):
            self.register_buffer(name, getattr(chain, name).detach().expand(size, 1))

    def m_step(self, alpha: dist.Distribution, utterances: Utterances) -> None:
        """Set the transitions of each recording to the mean of those of q(alpha) (arXiv 2102.04144).

        Equation :eq:`switching-update`. Only pairs of frames with a mouth count; q(alpha) may be a chain or independent
        over frames. The start stays: it has only one frame a recording.
        """
        chain = alpha if isinstance(alpha, BinaryMarkovChain) else independent_frames(alpha.logits)
        shown = utterances.mouth_seen & utterances.mask
        counts = (chain.pairs * (shown[:, 1:] & shown[:, :-1])).sum(-1, keepdim=True)  # (2, 2, B, 1)
        total = counts.sum(1)
        after = (counts[:, 1] / total.clamp_min(1e-12)).clamp(1e-6, 1 - 1e-6).logit()
        # a state that was never left says nothing of its transitions
        self.after_visual = torch.where(total[0] > 1e-6, after[0], self.after_visual)
        self.after_audio = torch.where(total[1] > 1e-6, after[1], self.after_audio)


def _log_odds(probability: float) -> Tensor:
    return torch.tensor(math.log(probability / (1 - probability)))
