"""Pictures of a video file, one after the other, with the time at which each is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from minvae_pyro.audio.tracks import clock_zero
from minvae_pyro.errors import UserError


@dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Attributes:
        time: seconds on the container's clock, with the zero of its sound (see `audio.tracks.clock_zero`).
        picture: (height, width) uint8 grey, upright and with square pixels.
    """

    time: float
    picture: NDArray[np.uint8]


def read_frames(path: str | PathLike[str]) -> Iterator[Frame]:
    """Decode the video track of a file, one frame at a time as shown, so that memory does not grow with its length.

    Any container and codec that FFmpeg reads will do. Times strictly increase: a frame that repeats the time of the one
    before, or goes back, is left out. Damaged packets are skipped, and a file that was cut short ends where it stops
    being readable.

    Raises:
        UserError: the file is missing, is a folder, is no video, has no video track (cover art of a song does not
            count), or holds no picture that can be decoded.
    """
    path = Path(path)
    with _open(path) as container:
        stream = next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)
        if stream is None:
            raise UserError(f"{path} has no video track: give the file that shows the talker")
        stream.thread_type = "AUTO"
        zero = clock_zero(container)
        period = 1.0 / float(stream.average_rate or 25)
        pixel_aspect = float(stream.sample_aspect_ratio or 1)
        last = -np.inf
        for raw in _decode(container, stream):
            # A stream without time stamps (raw H.264) is shown at its nominal rate.
            time = raw.time - zero if raw.time is not None else max(last + period, 0.0)
            if time > last:
                last = time
                yield Frame(time, _upright_grey(raw, pixel_aspect))
    if not np.isfinite(last):
        raise UserError(f"no picture can be decoded from {path}: it is damaged or cut short, copy it again")


def _open(path: Path) -> InputContainer:
    if not path.exists():
        raise UserError(f"no such video file: {path}")
    if path.is_dir():
        raise UserError(f"{path} is a folder: name one video file in it")
    try:
        return av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot read {path} as video ({reason}): convert it to MP4 or MKV") from error


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)  # the last one is empty and flushes the frames that the decoder still holds
        except (StopIteration, av.FFmpegError):
            return
        with suppress(av.FFmpegError):
            yield from packet.decode()


def _upright_grey(raw: VideoFrame, pixel_aspect: float) -> NDArray[np.uint8]:
    grey = raw.to_ndarray(format="gray", width=round(raw.width * pixel_aspect), height=raw.height)
    # Phones store the turn beside the pixels; FFmpeg gives it counterclockwise, as rot90 wants it.
    return np.ascontiguousarray(np.rot90(grey, round(raw.rotation / 90)), dtype=np.uint8)
