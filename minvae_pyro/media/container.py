"""Open a media file, and go through its packets as far as they can be read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from minvae_pyro.errors import UserError

MediaStream = AudioStream | VideoStream
"""A track that can be decoded."""

# FFmpeg refuses what it cannot read by its own errors; PyAV adds these for what it did not expect of a file.
UNREADABLE = (av.FFmpegError, OSError, ValueError, IndexError, KeyError, EOFError)
"""What reading a damaged file may raise."""


@contextmanager
def open_media(path: str | os.PathLike[str]) -> Iterator[InputContainer]:
    """Open a file that FFmpeg reads, whatever its name: ``10:30.mp4`` is no protocol and ``%d.mp4`` no pattern.

    Raises:
        UserError: it cannot be opened, or reading it fails within the context.
    """
    try:
        # with a protocol named, nothing in the name is taken for another one
        with av.open(f"file:{os.fspath(path)}", metadata_errors="replace") as container:
            yield container
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UserError(f"cannot read {path}: {reason}. Give a complete sound or video file.") from error


def packets(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet]:
    """The packets of some streams in the order of the file, as far as it can be read.

    The last packet of each stream is empty: it flushes what a decoder still holds.
    """
    demuxed = container.demux(streams)
    while True:
        try:
            packet = next(demuxed)
        except (StopIteration, *UNREADABLE):
            return
        yield packet
