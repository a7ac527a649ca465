"""Mouth pictures with their times: what every reader of mouths returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

MOUTH_SIDE = 67  # pixels, the size that NTCD-TIMIT is distributed in


@dataclass(frozen=True)
class MouthTrack:
    """Mouth pictures over time.

    Attributes:
        crops: (T, 67, 67) uint8 grey, upright; zeros where not found.
        times: (T,) float64 seconds on the container's clock (the same zero as the sound track).
        found: (T,) bool: a face was found in this frame or shortly before and after it.
    """

    crops: Tensor
    times: Tensor
    found: Tensor

    def __post_init__(self) -> None:
        frames = len(self.times)
        if self.crops.shape != (frames, MOUTH_SIDE, MOUTH_SIDE) or self.found.shape != (frames,):
            raise ValueError(
                f"crops {tuple(self.crops.shape)}, times {tuple(self.times.shape)} and found "
                f"{tuple(self.found.shape)} do not describe the same frames"
            )

    def select(self, frames: slice | Tensor) -> MouthTrack:
        """Some of the frames: a slice, or (T,) bool."""
        return MouthTrack(self.crops[frames], self.times[frames], self.found[frames])
