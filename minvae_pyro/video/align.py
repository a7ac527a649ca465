"""Mouth pictures at the times of sound frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from minvae_pyro.media.timeline import local_period
from minvae_pyro.video.track import MOUTH_SIDE, MouthTrack

_REACH = 1.5  # video frame periods
_LONGEST_SHOWN = 0.4  # seconds that a frame is shown until the next one; what took longer is missing
_ONE_FRAME_PERIOD = 0.04  # seconds, for a video of a single frame
_BLOCK = 4096  # sound frames blended at a time: 70 MB of floating point however long the recording


def align_mouth(track: MouthTrack, frame_times: Tensor) -> tuple[Tensor, Tensor]:
    """Resample a track of T pictures to the centres of N sound frames, (N,) seconds on the same clock.

    Each sound frame gets the two found video frames around it, blended linearly by time, so that 25 pictures become 30
    without a repeated one. A frame is shown until the next one if that comes within 0.4 s or at its usual time, and
    otherwise for one and a half video periods, as they are around it; a sound frame before which none is shown, and
    that none follows within as long, has no mouth.

    Returns:
        mouth: (N, 67, 67) uint8, zeros where there is none. found: (N,) bool.

    Example:
        >>> pictures = torch.zeros(2, 67, 67, dtype=torch.uint8)
        >>> pictures[1] = 100
        >>> track = MouthTrack(pictures, torch.tensor([0.0, 0.04]), torch.tensor([True, True]))
        >>> mouth, found = align_mouth(track, torch.tensor([0.0, 0.01, 0.02, 0.5]))
        >>> mouth[:, 0, 0], found
        (tensor([ 0, 25, 50,  0], dtype=torch.uint8), tensor([ True,  True,  True, False]))
    """
    blend = _blend(track, frame_times)
    return blend.pictures(slice(None)), blend.found


def on_frames(track: MouthTrack, frame_times: Tensor, seconds: float) -> MouthOnFrames:
    """A mouth for each frame of a sound of so many seconds, see :func:`align_mouth`."""
    # the last frame may be centred beyond the end of the sound, where no video needs to be
    return MouthOnFrames(_blend(track, frame_times.clamp(max=seconds)), frame_times)


class MouthOnFrames(MouthTrack):
    """A mouth for each frame of a sound, blended when it is asked for: an hour of them would take a gigabyte.

    Args:
        blend: of which pictures each is made.
        times: (N,) seconds.
    """

    def __init__(self, blend: Blend, times: Tensor) -> None:
        for name, value in (("_blend", blend), ("times", times), ("found", blend.found), ("room", None)):
            object.__setattr__(self, name, value)

    @property
    def crops(self) -> Tensor:
        """(N, 67, 67) uint8, all of them."""
        pictures: Tensor = self._blend.pictures(slice(None))  # type: ignore[attr-defined]
        return pictures

    def select(self, frames: slice | Tensor) -> MouthTrack:
        """Some of the frames, whose pictures are made."""
        pictures = self._blend.pictures(frames)  # type: ignore[attr-defined]
        return MouthTrack(pictures, self.times[frames], self.found[frames])


@dataclass(frozen=True)
class Blend:
    """Of which two pictures of a track each of N frames is made.

    Attributes:
        track: the pictures.
        left: (N,) number of the one, where one is found.
        right: (N,) of the other.
        share: (N,) of the other.
        found: (N,) bool.
    """

    track: MouthTrack
    left: Tensor
    right: Tensor
    share: Tensor
    found: Tensor

    def pictures(self, frames: slice | Tensor) -> Tensor:
        """The pictures of some frames, (n, 67, 67) uint8, zeros where there is none."""
        left, right, share, found = (part[frames] for part in (self.left, self.right, self.share, self.found))
        mouth = torch.zeros(len(found), MOUTH_SIDE, MOUTH_SIDE, dtype=torch.uint8)
        for block in found.nonzero().squeeze(1).split(_BLOCK):
            before, after = self.track.crops[left[block]].float(), self.track.crops[right[block]].float()
            mouth[block] = before.lerp(after, share[block, None, None]).round().to(torch.uint8)
            self.track.leave()
        return mouth


def _blend(track: MouthTrack, frame_times: Tensor) -> Blend:
    count = len(frame_times)
    times = track.times[track.found]
    if len(times) == 0 or count == 0:
        nothing = torch.zeros(count, dtype=torch.long)
        return Blend(track, nothing, nothing, torch.zeros(count), torch.zeros(count, dtype=torch.bool))
    rows = track.found.nonzero().squeeze(1)
    all_times = track.times.double()
    period = torch.from_numpy(local_period(all_times.numpy()))
    period = torch.where(period > 0, period, _ONE_FRAME_PERIOD)
    reach = _REACH * period + 1e-9
    step = all_times.diff()
    shown = step <= torch.maximum(torch.tensor(_LONGEST_SHOWN + 1e-9), reach[:-1])
    # how long each frame is good for, after it and before it
    onward, ahead = reach.clone(), reach.clone()
    onward[:-1] = torch.where(shown, torch.maximum(reach[:-1], step), reach[:-1])
    ahead[1:] = torch.where(shown, torch.maximum(reach[1:], step), reach[1:])
    now = frame_times.to(times)
    right = torch.searchsorted(times, now)
    left = right - 1
    last = len(times) - 1
    wait = torch.where(right <= last, times[right.clamp(max=last)] - now, torch.inf)
    since = torch.where(left >= 0, now - times[left.clamp(min=0)], torch.inf)
    left_ok, right_ok = since <= onward[rows][left.clamp(min=0)], wait <= ahead[rows][right.clamp(max=last)]
    # Times strictly increase, so since + wait is positive wherever both are finite.
    share = torch.where(left_ok & right_ok, since / (since + wait), right_ok.to(times)).to(torch.float32)
    found = left_ok | right_ok
    return Blend(track, rows[left.clamp(min=0)], rows[right.clamp(max=last)], share, found)
