"""The sound track of a video container, timed from the same zero as its video, :func:`clock_zero`."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from minvae_pyro.errors import UserError

_JITTER = 0.1  # seconds; Matroska rounds its timestamps to milliseconds, so small leaps are no gaps
_CUT_SHORT = 0.5  # seconds of the announced duration that may be missing
_DAMAGED = 0.05  # fraction of packets that may be undecodable (a cut at the start costs one or two)


def clock_zero(container: Any) -> float:
    """Seconds that count as zero for sound and video of an open ``av`` container; subtract them from ``frame.time``.

    Players start at the earliest stream, which is not 0 in many MPEG files; so do we.
    """
    start = container.start_time
    return start / av.time_base if start is not None else 0.0


class _Tape:
    """Collects decoded frames at their times: gaps become silence, but small leaps are rounding unless ``exact``."""

    def __init__(self, rate: int, longest: float | None) -> None:
        self.rate = rate
        self.longest = longest
        self.pieces: list[NDArray[np.float32]] = []
        self.samples = 0
        self.exact = True

    def append(self, piece: NDArray[np.float32], time: float | None) -> None:
        """Add ``piece``, (channels, samples), that starts at ``time`` seconds after zero if known."""
        leap = round(time * self.rate) - self.samples if time is not None else 0
        tolerance = 0 if self.exact else _JITTER * self.rate
        # A timestamp beyond the end of the recording is a wrong timestamp: it must not cost gigabytes.
        wild = time is not None and self.longest is not None and time > self.longest
        if leap > tolerance and not wild:
            piece = np.pad(piece, ((0, 0), (leap, 0)))
        self.pieces.append(piece)
        self.samples += piece.shape[1]
        self.exact = False


def read_track(path: Path) -> tuple[NDArray[np.float32], int]:
    """Decode the first sound track of any file that FFmpeg reads.

    Returns:
        Samples, (channels, samples) float32 in [-1, 1], sample 0 at :func:`clock_zero`; and the rate in Hz.

    Raises:
        UserError: no readable media, no sound track, or a damaged or cut-short one.
    """
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            return _decode(container, path)
    except av.error.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"Cannot read {path}: {reason}. Give a complete sound or video file.") from error


def _decode(container: Any, path: Path) -> tuple[NDArray[np.float32], int]:
    if not container.streams.audio:
        raise UserError(f"{path} has no sound track: give a file with sound.")
    stream = container.streams.audio[0]
    zero = clock_zero(container)
    duration = container.duration / av.time_base if container.duration else None
    tape = _Tape(stream.rate, duration)
    to_float = av.AudioResampler(format="fltp")  # changes the sample format only
    packets = undecodable = 0
    last = 0.0
    for packet in container.demux():
        if packet.pts is not None:
            last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream is not stream:
            continue
        packets += 1
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            undecodable += 1
            tape.exact = True  # what was lost leaves a gap
            continue
        for frame in frames:
            time = None if frame.time is None else frame.time - zero
            try:
                for piece in to_float.resample(frame):
                    tape.append(np.asarray(piece.to_ndarray(), np.float32), time)
            except ValueError as error:
                raise UserError(f"{path} changes its sound format half way: re-encode it first.") from error
    if not tape.pieces or undecodable > max(1, _DAMAGED * packets):
        raise UserError(f"The sound of {path} is damaged: {undecodable} of {packets} packets cannot be decoded.")
    # Matroska counts its duration from time 0, others from their start: give the benefit of the doubt.
    if duration is not None and duration - last > _CUT_SHORT:
        raise UserError(f"{path} is cut short: {last:.1f} of its {duration:.1f} s are there. Use a complete copy.")
    return np.concatenate(tape.pieces, axis=1), int(stream.rate)
