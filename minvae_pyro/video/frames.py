"""Pictures of a video file, one after the other, with the time at which each is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from minvae_pyro.errors import UserError
from minvae_pyro.media.container import UNREADABLE, open_media, packets
from minvae_pyro.media.survey import Survey, survey
from minvae_pyro.media.timeline import local_period
from minvae_pyro.media.tracks import pixel_aspect

_USUAL_RATE = 25.0  # pictures a second, where a file does not say
_BURST = 0.25  # of a period: no camera takes pictures that close, they were delivered together
_LARGEST = 8192  # pixels of a side; what is larger is scaled down, for several pictures are held
_LONGEST_BURST = 32  # pictures that are held


@dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Attributes:
        time: seconds on the time line of the file, with the zero of its sound (see `media.timeline`).
        picture: (height, width) uint8 grey, upright and with square pixels, neither side above 8192.
    """

    time: float
    picture: NDArray[np.uint8]


def read_frames(
    path: str | PathLike[str], *, track: int | None = None, sound_track: int | None = None
) -> Iterator[Frame]:
    """Decode the video track of a file, one frame at a time as shown, so that memory does not grow with its length.

    Any container and codec that FFmpeg reads will do. Times strictly increase, also where the clock of the file leaps.
    Pictures that come in bursts are spread evenly until the next one. Damaged packets are skipped, and a file that was
    cut short ends where it stops being readable.

    Args:
        path: of the file.
        track: which to watch, counted from 1, where there are several; by default the default track.
        sound_track: the one that is heard with it, as for :func:`minvae_pyro.audio.files.read_sound`.

    Raises:
        UserError: the file is missing, is a folder, is no video, has no such video track (cover art of a song does not
            count), or holds no picture that can be decoded.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"no such video file: {path}")
    if path.is_dir():
        raise UserError(f"{path} is a folder: name one video file in it")
    file = survey(path, sound_track, track)
    if file.video is None:
        raise UserError(f"{path} has no video track: give the file that shows the talker")
    last = -np.inf
    with open_media(path) as container:
        stream = container.streams[file.video]
        if not isinstance(stream, VideoStream) or stream.codec_context is None:
            raise UserError(f"the pictures of {path} are of a kind (codec) that cannot be decoded: convert it to MP4")
        for frame in _spread(_decode(container, stream, file), file.shown):
            if frame.time > last:
                last = frame.time
                yield frame
    if not np.isfinite(last):
        raise UserError(f"no picture can be decoded from {path}: it is damaged or cut short, copy it again")


def _decode(container: InputContainer, stream: VideoStream, file: Survey) -> Iterator[Frame]:
    stream.thread_type = "AUTO"
    period = 1.0 / float(stream.average_rate or _USUAL_RATE)
    aspect = pixel_aspect(stream) or 1.0
    shown = 0
    for number, packet in enumerate(packets(container, [stream])):
        if packet.size:
            # the decoder hands each picture the stamp of its packet: its place in the order of showing
            rank = int(file.ranks[number]) if number < len(file.ranks) else -1
            packet.pts, packet.dts = (None if rank < 0 else rank), None
        with suppress(*UNREADABLE):
            for raw in packet.decode():
                if not isinstance(raw, VideoFrame):
                    continue
                if not len(file.shown):  # a stream without time stamps (raw H.264) is shown at its nominal rate
                    yield Frame(shown * period, _upright_grey(raw, aspect))
                elif raw.pts is not None and 0 <= raw.pts < len(file.shown):
                    yield Frame(float(file.shown[raw.pts]), _upright_grey(raw, aspect))
                shown += 1


def _spread(frames: Iterable[Frame], shown: NDArray[np.float64]) -> Iterator[Frame]:
    """Frames that come in bursts evenly apart, from the time of the first until the burst after."""
    periods = local_period(shown)
    burst: list[Frame] = []
    usual = step = 0.0
    for frame in frames:
        if burst and (frame.time - burst[-1].time >= _BURST * usual or len(burst) >= _LONGEST_BURST):
            step = min((frame.time - burst[0].time) / len(burst), 1.5 * usual)
            yield from _evenly(burst, step)
            burst = []
        burst.append(frame)
        if len(periods):
            usual = float(periods[min(int(np.searchsorted(shown, frame.time)), len(periods) - 1)])
    yield from _evenly(burst, step or usual)


def _evenly(burst: list[Frame], step: float) -> Iterator[Frame]:
    return (replace(frame, time=burst[0].time + number * step) for number, frame in enumerate(burst))


def _upright_grey(raw: VideoFrame, aspect: float) -> NDArray[np.uint8]:
    width, height = raw.width * aspect, float(raw.height)
    shrink = min(1.0, _LARGEST / max(width, height))
    width, height = (max(1, round(side * shrink)) for side in (width, height))
    grey = raw.to_ndarray(format="gray", width=width, height=height)
    # Phones store the turn beside the pixels; FFmpeg gives it counterclockwise, as rot90 wants it.
    return np.ascontiguousarray(np.rot90(grey, round(raw.rotation / 90)), dtype=np.uint8)
