"""What a stream keeps of its past: one window of frames, and the pictures of the mouth that belong to it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from minvae_pyro.audio.level import SILENCE
from minvae_pyro.audio.stft import STFT
from minvae_pyro.errors import UserError
from minvae_pyro.video.align import align_mouth
from minvae_pyro.video.track import MOUTH_SIDE, MouthTrack

_INAUDIBLE = 1e-4  # of the running level: frames that far below, 80 dB, are left as they are
_PICTURES_KEPT = 0.5  # seconds before the window: the rate of the pictures is told from several of them


class StreamWindow:
    """The last frames of a stream that are not silent, at its running level.

    Args:
        stft: the transform that the frames come from.
        length: frames in a full window, and in the mean that the level is.

    Attributes:
        spectrum: (N, F) complex, at unit level, on the CPU.
        numbers: (N,) which frames of the stream they are.
        frames: of the stream so far.
    """

    def __init__(self, stft: STFT, length: int) -> None:
        self.spectrum = torch.zeros(0, stft.frequencies, dtype=torch.complex64)
        self.numbers = torch.zeros(0, dtype=torch.long)
        self.frames = 0
        self._length = length
        self._gain = stft.cell_power  # from the power of a frame's samples to its own
        self._power, self._weight = 0.0, 0.0

    def push(self, fresh: Tensor) -> int:
        """Take in the frames that come next, (N, F); tell how many old ones have left the window."""
        power = fresh.abs().square().mean(1) / self._gain
        if power.max().sqrt() > SILENCE:
            keep = math.exp(-len(fresh) / self._length)
            self._power = keep * self._power + (1 - keep) * float(power.mean())
            self._weight = keep * self._weight + (1 - keep)
        level = math.sqrt(self._power / max(self._weight, SILENCE))
        # silence would pull noise and gain down to nothing, from where multiplicative updates do not come back
        audible = power.sqrt() > max(SILENCE, _INAUDIBLE * level)
        if audible.any():
            self.spectrum = torch.cat([self.spectrum, fresh[audible] / level])
            self.numbers = torch.cat([self.numbers, self.frames + audible.nonzero()[:, 0]])
        self.frames += len(fresh)
        dropped = max(0, len(self.spectrum) - self._length)
        self.spectrum, self.numbers = self.spectrum[dropped:], self.numbers[dropped:]
        return dropped

    def oldest(self, decided: int) -> int:
        """The first frame whose picture may be asked for once all before ``decided`` have their gain."""
        # a long silence may leave frames in the window whose pictures are gone: they are heard without
        return max(decided - 2 * self._length, min([decided, *self.numbers[:1].tolist()]))


class StreamPictures:
    """The pictures of a stream that a frame may still ask for, in ``track``."""

    def __init__(self) -> None:
        self.track = MouthTrack(
            torch.zeros(0, MOUTH_SIDE, MOUTH_SIDE, dtype=torch.uint8),
            torch.zeros(0, dtype=torch.float64),
            torch.zeros(0, dtype=torch.bool),
        )

    def push(self, mouth: MouthTrack) -> None:
        """Take in the pictures that come next.

        Raises:
            UserError: one is not later than the one before it.
        """
        before, after = ((one.crops, one.times, one.found) for one in (self.track, mouth))
        crops, times, found = map(torch.cat, zip(before, after, strict=True))
        joined = MouthTrack(crops, times, found)
        if not (joined.times.diff() > 0).all():
            raise UserError(
                "the pictures of a stream come in the order of their times, each later than the one before."
            )
        self.track = joined

    def at(self, frame_times: Tensor, now: float) -> MouthTrack:
        """A mouth for each frame, out of the pictures that were taken by ``now``; all times in seconds."""
        crops, found = align_mouth(self.track.select(self.track.times <= now), frame_times)
        return MouthTrack(crops, frame_times, found)

    def forget(self, seconds: float) -> None:
        """Drop what no frame from this time on asks for."""
        self.track = self.track.select(self.track.times >= seconds - _PICTURES_KEPT)
