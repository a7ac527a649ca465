"""Noise whose steady part is no louder than the pauses of the recording."""

from __future__ import annotations

from typing import Self

import torch
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d

from minvae_pyro.models.noise import FLOOR, NMFNoise, Statistics, mean_power
from minvae_pyro.utterances import Utterances

_SMOOTH = 5  # frames and bins over which power is averaged before its minimum is looked for
_PAUSES = 0.1  # share of the frames that are taken for pauses


class PauseBoundedNoise(NMFNoise):
    """A steady spectrum bounded by the pauses, plus components that move (minimum statistics, Martin, IEEE TSAP 2001).

    Equation :eq:`bounded-noise`. What a prior cannot explain of a voice is no noise: a spectrum that stays must be
    heard between the words as well. Without the bound the speech of somebody whom the prior has not met is taken for
    noise, and good recordings come out worse than they came. What swells and fades has no bound.

    Started, the steady spectrum is ``steady``, (B, F) >= 0, its largest value ``limit``, (B, F), and what moves is NMF.

    Args:
        rank: K, moving components, at least 1.
        bound: how far above the level of the pauses the steady spectrum may lie, in power: the quietest tenth of noise
            that is steady indeed lies by about that much below its mean.

    Raises:
        ValueError: rank or bound are too small.
    """

    steady: Tensor
    limit: Tensor

    def __init__(self, rank: int = 1, bound: float = 2.0) -> None:
        super().__init__(rank)
        if not bound > 0:
            raise ValueError(f"noise needs a bound above 0, not {bound}")
        self.bound = bound

    def start(self, utterances: Utterances, generator: Generator | None = None) -> Self:
        """A copy at the level of each recording: the steady part as high as its bound, the others at random."""
        limit = self._limit(utterances)
        steady = mean_power(utterances).clamp_min(FLOOR).minimum(limit)
        return super().start(utterances, generator).at(steady=steady, limit=limit)

    def moved(self, utterances: Utterances, dropped: int) -> Self:
        """A copy for a window that has moved on, see :meth:`NoiseModel.moved`; the bound is that of the new window."""
        limit = self._limit(utterances)
        return super().moved(utterances, dropped).at(steady=self.steady.minimum(limit), limit=limit)

    def forward(self, utterances: Utterances) -> Tensor:
        """Variance of the noise, (B, N, F)."""
        return self.steady[:, None] + super().forward(utterances)

    def m_step(self, statistics: Statistics) -> None:
        """Update the steady part within its bound, then H and W.

        The minoriser is a sum of functions of one parameter each with one peak (equation :eq:`noise-update`): where the
        peak lies beyond the bound, the bound is the best there is.
        """
        ratio, inverse = statistics()
        step = (ratio.sum(1) / inverse.sum(1).clamp_min(FLOOR)).sqrt()
        self.steady = (self.steady * step).clamp_min(FLOOR).minimum(self.limit)
        super().m_step(statistics)

    def _limit(self, utterances: Utterances) -> Tensor:
        return (self.bound * pause_level(utterances)).clamp_min(FLOOR)


def pause_level(utterances: Utterances) -> Tensor:
    """Power in the quietest tenth of the frames, (B, F), bin by bin; zero where nothing is observed.

    Power is averaged over a few neighbouring cells first, since that of noise is zero now and then. Neither padding nor
    cells that say nothing count.
    """
    cells = utterances.evident.expand(utterances.power.shape).to(utterances.power.dtype)
    parts = torch.stack([utterances.power * cells, cells], 1)
    total, count = avg_pool2d(parts, _SMOOTH, stride=1, padding=_SMOOTH // 2).unbind(1)
    smooth = (total / count.clamp_min(FLOOR)).masked_fill(cells == 0, float("inf"))
    number = (_PAUSES * cells.sum(1)).long().clamp_min(1) - 1  # which one in ascending order, (B, F)
    quiet = smooth.sort(1).values.gather(1, number[:, None])[:, 0]
    return quiet.masked_fill(quiet.isinf(), 0.0)
