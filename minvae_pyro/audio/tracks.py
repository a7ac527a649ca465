"""The sound track of a media file, decoded to samples, with the clock that they run by."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from minvae_pyro.audio.clock import SoundClock
from minvae_pyro.errors import UserError
from minvae_pyro.media.container import UNREADABLE, open_media, packets
from minvae_pyro.media.survey import Survey, coder_delay, survey

_JITTER = 0.1  # seconds; stamps are rounded and packets come in bursts, so small leaps are no gaps
_RECENT = 64  # packets of the last second, among which bursts even out
_PACKED = "flt"  # channels side by side: of eight or more planes PyAV reads beyond the end
_DAMAGED = 0.05  # fraction of packets that may be undecodable (a cut at the start costs one or two)


@dataclass(frozen=True)
class Track:
    """A decoded sound track.

    Attributes:
        samples: (channels, samples) float32 in [-1, 1], without a break but for silence where sound is missing.
        rate: in Hz.
        clock: when they were heard; None if just as they are counted.
        notes: plain sentences on the file.
    """

    samples: NDArray[np.float32]
    rate: int
    clock: SoundClock | None
    notes: tuple[str, ...]


def read_track(path: str | os.PathLike[str], number: int | None = None) -> Track:
    """Decode a sound track of any file that FFmpeg reads.

    Args:
        path: of the file.
        number: of the track, counted from 1; by default the default track.

    Raises:
        UserError: no readable media, no such sound track, or a damaged one.
    """
    file = survey(path, sound_track=number)
    if file.sound is None:
        raise UserError(f"{path} has no sound track: give a file with sound.")
    with open_media(path) as container:
        stream = container.streams[file.sound]
        if not isinstance(stream, AudioStream) or stream.codec_context is None:
            raise UserError(f"The sound of {path} is of a kind (codec) that cannot be decoded: convert it to WAV.")
        tape = _decode(container, stream, file, path)
        clock = tape.clock(coder_delay(container, stream))
    return Track(np.concatenate(tape.pieces, axis=1), tape.rate, clock, file.sound_notes)


class _Tape:
    """Decoded frames one after the other: gaps become silence, but small leaps are rounding unless ``exact``."""

    def __init__(self, end: float) -> None:
        self.end = end  # seconds, of the last time stamp that is believed
        self.pieces: list[NDArray[np.float32]] = []
        self.rate = 0
        self.samples = 0
        self.exact = True
        self.anchors: list[tuple[float, float]] = []  # seconds of sound before a frame, and its time
        self._to_float = av.AudioResampler(format=_PACKED)
        self._layout = ""

    def append(self, frame: AudioFrame, time: float | None) -> None:
        """Add a frame that starts ``time`` seconds after zero, if known; its rate and channels become the first's."""
        if not self.rate:
            self.rate, self._layout = frame.sample_rate, frame.layout.name
        try:
            converted = self._to_float.resample(frame)
        except ValueError:  # the sound changes its format half way, as in joined files
            self._to_float = av.AudioResampler(format=_PACKED, layout=self._layout, rate=self.rate)
            converted = self._to_float.resample(frame)
        for piece in converted:
            self._place(piece, time)
            time = None

    def finish(self) -> None:
        """Add what a change of the rate has kept back."""
        if self.rate:
            for piece in self._to_float.resample(None):
                self._place(piece, None)

    def _place(self, frame: AudioFrame, time: float | None) -> None:
        piece = np.asarray(frame.to_ndarray(), np.float32).reshape(-1, len(frame.layout.channels)).T
        if time is not None:
            here = self.samples / self.rate
            last = self.anchors[-_RECENT:]
            recent = [then - there for there, then in last if here - there < 1.0 or there == last[-1][0]]
            gap = time - here - max(recent, default=0.0)
            if gap > (0.0 if self.exact else _JITTER) and time <= self.end:
                silence = round(gap * self.rate)
                piece = np.pad(piece, ((0, 0), (silence, 0)))
                here += silence / self.rate
            self.anchors.append((here, time))
        self.pieces.append(piece)
        self.samples += piece.shape[1]
        self.exact = False

    def clock(self, delay: float) -> SoundClock | None:
        """When the samples were heard, ``delay`` seconds of which stand before the sound."""
        return SoundClock.through(np.array(self.anchors).reshape(-1, 2) - [0.0, delay])


def _decode(container: InputContainer, stream: AudioStream, file: Survey, path: str | os.PathLike[str]) -> _Tape:
    tape = _Tape(file.end)
    count = undecodable = 0
    for packet in packets(container, [stream]):
        if packet.size:
            time = float(file.heard[count]) if count < len(file.heard) else math.nan
            packet.pts = None if math.isnan(time) else round(time / float(stream.time_base or 1))
            count += 1
        try:
            frames = packet.decode()
        except UNREADABLE:
            undecodable += 1
            tape.exact = True  # what was lost leaves a gap
            continue
        for frame in frames:
            if isinstance(frame, AudioFrame) and frame.samples:
                tape.append(frame, frame.time)
    tape.finish()
    if not count:
        raise UserError(f"{path} holds no samples: there is no sound to read.")
    if not tape.pieces or undecodable > max(1, _DAMAGED * count):
        raise UserError(f"The sound of {path} is damaged: {undecodable} of {count} packets cannot be decoded.")
    return tape
