"""Three ways to hold q(alpha = 1), all with one signature, and one that is fixed."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from minvae_pyro.models.mixing import LOGIT_BOUND, audio_where_unseen
from minvae_pyro.utterances import Utterances

Bounds = Callable[[], tuple[Tensor, Tensor, Tensor]]
"""Returns log-odds of pi, L_a and L_v, each (B, N), of the draw in hand; costs a pass of the decoder."""


class CollapsedResponsibility(nn.Module):
    """The closed form r = sigmoid(logit(pi) + L_a - L_v): no r to store, the bound is a log-sum-exp.

    The optimum over r of the bound of arXiv 1912.10647 (eq. 17), taken at the draw of z in hand.
    """

    def forward(self, utterances: Utterances, bounds: Bounds) -> Tensor:
        """Log-odds of alpha = 1, (B, N). No gradient: the bound is flat in r at its optimum."""
        with torch.no_grad():
            prior, audio, visual = bounds()
            return audio_where_unseen(prior + audio - visual, utterances)


class TableResponsibility(nn.Module):
    """The published recipe: r is kept per frame and refreshed once an epoch.

    Args:
        utterances: rows, the size of the corpus.
        frames: longest utterance.
        weight: start value of r.
    """

    logit: Tensor
    fresh: Tensor

    def __init__(self, utterances: int, frames: int, weight: float = 0.5) -> None:
        super().__init__()
        start = math.log(weight / (1 - weight))
        self.register_buffer("logit", torch.full((utterances, frames), start))
        self.register_buffer("fresh", torch.full((utterances, frames), start))

    def forward(self, utterances: Utterances, bounds: Bounds) -> Tensor:
        """Log-odds of alpha = 1 as stored, (B, N); in training mode the next table is prepared on the way."""
        frames = utterances.frames
        if self.training:
            with torch.no_grad():
                prior, audio, visual = bounds()
                fresh = (prior + audio - visual).clamp(-LOGIT_BOUND, LOGIT_BOUND)
                self.fresh[utterances.index, :frames] = fresh.to(self.fresh.dtype)
        return audio_where_unseen(
            self.logit[utterances.index, :frames].to(utterances.heard.dtype), utterances
        )

    def refresh(self) -> None:
        """Put the prepared table in force; the training loop calls it at the end of an epoch."""
        self.logit.copy_(self.fresh)


class FixedResponsibility(nn.Module):
    """A constant r. At 1/2 both encoders are trained at full weight: the bound is half the sum of theirs.

    Args:
        weight: r in (0, 1).
    """

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, utterances: Utterances, bounds: Bounds) -> Tensor:
        """Log-odds of alpha = 1, (B, N)."""
        logit = utterances.heard.new_tensor(math.log(self.weight / (1 - self.weight)))
        return audio_where_unseen(logit, utterances)


class GatedResponsibility(nn.Module):
    """An amortised r(power, mouth), trained by the gradient that enumeration gives it.

    Unlike the other rules it can be asked on a noisy recording, where no clean speech tells L_a and L_v.

    Args:
        gate: maps utterances to log-odds of alpha = 1, (B, N); see :class:`minvae_pyro.networks` for one.
    """

    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, utterances: Utterances, bounds: Bounds) -> Tensor:
        """Log-odds of alpha = 1, (B, N)."""
        return audio_where_unseen(self.gate(utterances), utterances)
