"""When the samples of a recording were heard, by a clock that need not agree with their rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK = 0.5  # seconds, over which time stamps are averaged
_UNHEARD = 0.01  # seconds of disagreement that nobody minds


@dataclass(frozen=True)
class SoundClock:
    """A clock that runs ahead of the samples that are counted, by more or less as time goes on.

    Attributes:
        times: (K,) float64 seconds by the clock, increasing.
        ahead: (K,) float64 seconds by which it is ahead then; in between it is interpolated.
    """

    times: NDArray[np.float64]
    ahead: NDArray[np.float64]

    @classmethod
    def through(cls, anchors: NDArray[np.float64]) -> SoundClock | None:
        """The clock of anchors, (K, 2): seconds by the samples and by the clock; None if the two agree."""
        if len(anchors) == 0:
            return None
        # a median of each half second: stamps are rounded, and come in bursts
        starts = np.flatnonzero(np.diff(np.floor(anchors[:, 0] / _BLOCK), prepend=-1.0))
        blocks = np.array([np.median(block, axis=0) for block in np.split(anchors, starts[1:])])
        ahead = blocks[:, 1] - blocks[:, 0]
        if np.abs(ahead).max() < _UNHEARD:
            return None
        return cls(np.maximum.accumulate(blocks[:, 1]), ahead)

    def to_sound(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds of sound before each of the ``times`` of the clock, any shape."""
        return np.asarray(times - np.interp(times, self.times, self.ahead))
