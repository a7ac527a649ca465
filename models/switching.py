"""Markov chains of the mixture variable: P(alpha_n = 1) given what alpha was in the frame before."""

from __future__ import annotations

import math

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from minvae_pyro.chains import BinaryMarkovChain, independent_frames
from minvae_pyro.models.mixing import audio_where_unseen
from minvae_pyro.utterances import Utterances


class Switching(nn.Module):
    """A chain by three log-odds of alpha = 1, each broadcasting to (B, N); a subclass says how they come about.

    Frames without a mouth are the sound's, and so is padding: they do not look back.

    Attributes:
        start: in the first frame.
        after_visual: after a frame of alpha = 0.
        after_audio: after a frame of alpha = 1.
    """

    start: Tensor
    after_visual: Tensor
    after_audio: Tensor

    def forward(self, utterances: Utterances) -> BinaryMarkovChain:
        """p(alpha), batch shape (B, N)."""
        first = torch.arange(utterances.frames, device=utterances.mask.device) == 0
        shown = utterances.replace(mouth_seen=utterances.mouth_seen & utterances.mask)
        after_visual = torch.where(first, self.start, self.after_visual)
        return BinaryMarkovChain(audio_where_unseen(after_visual, shown), audio_where_unseen(self.after_audio, shown))


class LearntSwitching(Switching):
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


class FixedSwitching(Switching):
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


class UtteranceSwitching(Switching):
    """A chain for each recording, re-estimated at test time by the M-step.

    Args:
        switching: where it starts.
        size: B.
    """

    def __init__(self, switching: Switching, size: int) -> None:
        super().__init__()
        self.register_buffer("start", switching.start.detach().expand(size, 1))
        self.register_buffer("after_visual", switching.after_visual.detach().expand(size, 1))
        self.register_buffer("after_audio", switching.after_audio.detach().expand(size, 1))

    def m_step(self, alpha: dist.Distribution, utterances: Utterances) -> None:
        """Set the transitions of each recording to the mean of what q(alpha) makes of them (arXiv 2102.04144).

        Equation :eq:`switching-update`.

        Neighbours that both show a mouth count. The start stays: one frame a recording tells nothing of it.

        Args:
            alpha: q(alpha), a chain or independent over frames, (B, N).
            utterances: the batch.
        """
        chain = alpha if isinstance(alpha, BinaryMarkovChain) else independent_frames(alpha.logits)
        shown = utterances.mouth_seen & utterances.mask
        counts = (chain.pairs * (shown[:, 1:] & shown[:, :-1])).sum(-1, keepdim=True)  # (2, 2, B, 1)
        total = counts.sum(1)
        after = (counts[:, 1] / total.clamp_min(1e-12)).clamp(1e-6, 1 - 1e-6).logit()
        # a state that was never left cannot tell where it leads
        self.after_visual = torch.where(total[0] > 1e-6, after[0], self.after_visual)
        self.after_audio = torch.where(total[1] > 1e-6, after[1], self.after_audio)


def _log_odds(probability: float) -> Tensor:
    return torch.tensor(math.log(probability / (1 - probability)))
