"""Mouth pictures with their times: what every reader of mouths returns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from minvae_pyro.audio.clock import SoundClock
from minvae_pyro.video.room import Room

MOUTH_SIDE = 67  # pixels, the size that NTCD-TIMIT is distributed in


@dataclass(frozen=True)
class MouthTrack:
    """Mouth pictures over time.

    Attributes:
        crops: (T, 67, 67) uint8 grey, upright; zeros where not found.
        times: (T,) float64 seconds on the time line of the file (the same zero as the sound track).
        found: (T,) bool: a face was found in this frame or shortly before and after it.
        room: where the crops of a long video are; None in memory.
    """

    crops: Tensor
    times: Tensor
    found: Tensor
    room: Room | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        frames = len(self.times)
        if self.crops.shape != (frames, MOUTH_SIDE, MOUTH_SIDE) or self.found.shape != (frames,):
            raise ValueError(
                f"crops {tuple(self.crops.shape)}, times {tuple(self.times.shape)} and found "
                f"{tuple(self.found.shape)} do not describe the same frames"
            )

    def follow(self, clock: SoundClock | None) -> MouthTrack:
        """The same pictures, timed by the samples of the sound that they were seen with."""
        return self if clock is None else replace(self, times=torch.from_numpy(clock.to_sound(self.times.numpy())))

    def leave(self) -> None:
        """Give the memory of crops that were looked at back, where they are in a file."""
        if self.room is not None:
            self.room.leave()

    def select(self, frames: slice | Tensor) -> MouthTrack:
        """Some of the frames: a slice, (T,) bool, or numbers."""
        return MouthTrack(self.crops[frames], self.times[frames], self.found[frames])
