"""How long a file says to be, where that was written once it was known; an estimate says nothing."""

from __future__ import annotations

import os

import av
from av.container import InputContainer

_EXACT = {"mov", "flac", "aiff", "caf", "w64"}
# They say it of the file only: where FFmpeg gives it for each stream it has worked it out from bit rates.
_OF_THE_WHOLE = {"matroska", "flv"}
_MPEG_FRAME = 2048  # bytes, within which the index of an MP3 file stands in its first frame


def announced_seconds(container: InputContainer, path: str | os.PathLike[str]) -> float | None:
    """Seconds that an open media file announces exactly; None where FFmpeg estimates them, or nobody knows."""
    if not container.duration:
        return None
    name = container.format.name.split(",")[0]
    if name in _OF_THE_WHOLE:
        exact = not any(stream.duration for stream in container.streams)
    elif name == "avi":  # without its index FFmpeg takes the duration from what is there
        film = next(iter(container.streams.video), None)
        return film.frames / float(film.average_rate) if film and film.frames and film.average_rate else None
    else:
        exact = name in _EXACT or (name == "mp3" and _has_index(path))
    return container.duration / av.time_base if exact else None


def _has_index(path: str | os.PathLike[str]) -> bool:
    """Whether an MP3 file counts its frames, in a header of Xing, LAME or Fraunhofer."""
    with open(path, "rb") as file:
        head = file.read(10)
        tag = 0
        if head[:3] == b"ID3" and len(head) == 10:
            a, b, c, d = head[6:]
            tag = 10 + (a << 21 | b << 14 | c << 7 | d)
        file.seek(tag)
        frame = file.read(_MPEG_FRAME)
    return any(word in frame for word in (b"Xing", b"Info", b"VBRI"))
