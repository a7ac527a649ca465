"""Mouth pictures at the times of sound frames."""

from __future__ import annotations

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
        >>> pictures = torch.tensor([0, 100], dtype=torch.uint8)[:, None, None].expand(2, 67, 67)
        >>> track = MouthTrack(pictures, torch.tensor([0.0, 0.04]), torch.tensor([True, True]))
        >>> mouth, found = align_mouth(track, torch.tensor([0.0, 0.01, 0.02, 0.5]))
        >>> mouth[:, 0, 0], found
        (tensor([ 0, 25, 50,  0], dtype=torch.uint8), tensor([ True,  True,  True, False]))
    """
    count = len(frame_times)
    mouth = torch.zeros(count, MOUTH_SIDE, MOUTH_SIDE, dtype=torch.uint8)
    times = track.times[track.found]
    if len(times) == 0 or count == 0:
        return mouth, torch.zeros(count, dtype=torch.bool)
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
    left, right = rows[left.clamp(min=0)], rows[right.clamp(max=last)]
    for block in found.nonzero().squeeze(1).split(_BLOCK):
        before, after = track.crops[left[block]].float(), track.crops[right[block]].float()
        mouth[block] = before.lerp(after, share[block, None, None]).round().to(torch.uint8)
    return mouth, found


def on_frames(track: MouthTrack, frame_times: Tensor, seconds: float) -> MouthTrack:
    """A mouth for each frame of a sound of so many seconds, see :func:`align_mouth`."""
    # the last frame may be centred beyond the end of the sound, where no video needs to be
    crops, found = align_mouth(track, frame_times.clamp(max=seconds))
    return MouthTrack(crops, frame_times, found)
