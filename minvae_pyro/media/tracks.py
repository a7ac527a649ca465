"""Which of the tracks of a file are meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from minvae_pyro.errors import UserError
from minvae_pyro.media.container import UNREADABLE, MediaStream, open_media, packets

_Track = TypeVar("_Track", AudioStream, VideoStream)

_NO_FILM = Disposition.attached_pic | Disposition.timed_thumbnails
_SILENCE = 1e-4  # of full scale, which rounding and dither do not reach
_WIDEST = 4.0  # pixels of any standard; what anamorphic lenses and halved pictures make stays below
_LOOK = 300  # pictures within which a film moves
_MOVES = 4.0  # grey levels by which a thumbnail of it then differs somewhere


def sound_tracks(container: InputContainer) -> list[AudioStream]:
    """The sound tracks, as a player numbers them."""
    return list(container.streams.audio)


def video_tracks(container: InputContainer) -> list[VideoStream]:
    """The video tracks, as a player numbers them; the cover of a song is none."""
    return [stream for stream in container.streams.video if not stream.disposition & _NO_FILM]


def choose_sound(path: str, asked: int | None = None) -> int | None:
    """Index of the stream to hear: the one asked for, counted from 1, else the default track, else the first.

    A track that is silent throughout gives way to the next that is not.

    Raises:
        UserError: there is no such track.
    """
    return _choose(path, sound_tracks, asked, "sound", _sounds)


def choose_video(path: str, asked: int | None = None) -> int | None:
    """Index of the stream to watch, as :func:`choose_sound`; a still picture gives way to one that moves."""
    return _choose(path, video_tracks, asked, "video", _moves)


def pixel_aspect(track: VideoStream) -> float | None:
    """Width of the pixels of a video over their height; None where the file says one that no picture has."""
    said = float(track.sample_aspect_ratio or 1)
    return said if 1 / _WIDEST <= said <= _WIDEST else None


def _choose(
    path: str,
    find: Callable[[InputContainer], Sequence[_Track]],
    asked: int | None,
    kind: str,
    lives: Callable[[InputContainer, _Track], bool],
) -> int | None:
    with open_media(path) as container:
        tracks = find(container)
        if asked is not None:
            if not 1 <= asked <= len(tracks):
                has = {0: f"no {kind} track", 1: f"one {kind} track"}.get(len(tracks), f"{len(tracks)} {kind} tracks")
                raise UserError(f"{path} has {has}, counted from 1: there is no number {asked}.")
            return tracks[asked - 1].index
        # false sorts before true
        order = sorted(tracks, key=lambda track: (not _decodable(track), not track.disposition & Disposition.default))
        indices = [track.index for track in order]
    for index in indices if len(indices) > 1 else ():
        with suppress(UserError), open_media(path) as container:
            track = next(track for track in find(container) if track.index == index)
            if _decodable(track) and lives(container, track):
                return index
    return indices[0] if indices else None


def _decodable(track: MediaStream) -> bool:
    return track.codec_context is not None


def _sounds(container: InputContainer, track: AudioStream) -> bool:
    to_float = av.AudioResampler(format="flt")  # packed: of eight planes PyAV reads beyond the end
    for packet in packets(container, [track]):
        with suppress(*UNREADABLE):
            for frame in packet.decode():
                for piece in to_float.resample(frame):  # type: ignore[arg-type]
                    if np.abs(piece.to_ndarray()).max(initial=0.0) > _SILENCE:
                        return True
    return False


def _moves(container: InputContainer, track: VideoStream) -> bool:
    first = None
    seen = 0
    for packet in packets(container, [track]):
        with suppress(*UNREADABLE):
            for frame in packet.decode():
                thumbnail = frame.reformat(32, 32, "gray").to_ndarray().astype(float)
                first = thumbnail if first is None else first
                if np.abs(thumbnail - first).max() > _MOVES:
                    return True
                seen += 1
        if seen > _LOOK:
            return False
    return False
