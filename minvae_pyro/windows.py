"""Long recordings in windows of equal length that overlap and are faded into one another."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Windows:
    """Windows over a recording, in any unit (enhancement counts in STFT hops).

    Attributes:
        starts: where each window starts, the first at 0.
        length: of every window; the last one ends with the recording.
    """

    starts: tuple[int, ...]
    length: int

    def __len__(self) -> int:
        return len(self.starts)

    def weight(self, window: int, position: Tensor) -> Tensor:
        """Weight of a window at some positions: 1, but a ramp where it overlaps a neighbour.

        The weights of all windows sum to 1 at every position of the recording, so estimates that agree pass
        through unchanged (equal-gain fade).

        Args:
            window: its number.
            position: in the unit of ``starts``, within the window.
        """
        weight = position.new_ones(position.shape)
        if window > 0:
            weight = weight * self._fade_in(window, position)
        if window + 1 < len(self):
            weight = weight * (1 - self._fade_in(window + 1, position))
        return weight

    def _fade_in(self, window: int, position: Tensor) -> Tensor:
        start, end = self.starts[window], self.starts[window - 1] + self.length
        return ((position - start) / (end - start)).clamp(0, 1)


def split(total: int, longest: int, overlap: int) -> Windows:
    """Cover ``total`` units by as few windows as possible.

    Args:
        total: length of the recording, at least 1.
        longest: a window has at most so many units.
        overlap: neighbours share about so many units, at least 2 and at most a third of ``longest``.

    Example:
        >>> split(100, longest=40, overlap=10)
        Windows(starts=(0, 30, 60), length=40)
    """
    if total <= longest:
        return Windows((0,), total)
    count = math.ceil((total - overlap) / (longest - overlap))
    length = math.ceil((total + (count - 1) * overlap) / count)
    return Windows(tuple(round(i * (total - length) / (count - 1)) for i in range(count)), length)
