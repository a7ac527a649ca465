"""What a media file holds, found by going through its packets once: tracks, time line, and where it ends."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from minvae_pyro.media.announced import announced_seconds
from minvae_pyro.media.container import open_media, packets
from minvae_pyro.media.timeline import Stamps, close_leaps
from minvae_pyro.media.tracks import choose_sound, choose_video, pixel_aspect, sound_tracks, video_tracks

_COUNTED = {"avi"}  # formats whose sound has no time stamps: FFmpeg counts its pieces, empty ones too
_FAR = 1.0  # seconds between where a track says to start and its first packet, beyond which it is wrong
_MISSING = 0.5  # seconds of what is announced that may be missing
# Samples that a coder puts in front. Containers say so and FFmpeg drops them; a bare stream does not say it.
_CODER_DELAY = {("mp3", "mp3"): 1105, ("wav", "mp3"): 1105, ("aac", "aac"): 1024}


@dataclass(frozen=True)
class Survey:
    """A file, seen through: when its sound is heard and its pictures are shown, on one time line.

    Zero is when the earlier of the two starts.

    Attributes:
        zero: seconds by the clock of the file.
        sound: index of the stream to hear; None without any.
        video: index of the stream to watch; None without any.
        heard: (K,) float64 seconds after zero at which the packets of the sound start; NaN where nobody knows.
        shown: (T,) float64 seconds after zero of the pictures, increasing; those that overlap with a part before or
            after are left out.
        ranks: (L,) int64, for each packet of the video its place among ``shown``; -1 if not shown or without a time.
        end: seconds after zero at which the sound stops, by its packets; 0 without any.
        sound_notes: plain sentences on what was heard, and on where the file ends early.
        video_notes: plain sentences on what was watched.
    """

    zero: float
    sound: int | None
    video: int | None
    heard: NDArray[np.float64]
    shown: NDArray[np.float64]
    ranks: NDArray[np.int64]
    end: float
    sound_notes: tuple[str, ...]
    video_notes: tuple[str, ...]


def survey(path: str | os.PathLike[str], sound_track: int | None = None, video_track: int | None = None) -> Survey:
    """Go through a file; one that has not changed is gone through once.

    Args:
        path: any file that FFmpeg reads.
        sound_track: counted from 1; by default the default track, see :func:`minvae_pyro.media.tracks.choose_sound`.
        video_track: the same of the video; the cover of a song does not count.

    Raises:
        UserError: it is no media file, or has no such track.
    """
    status = Path(path).stat()
    return _survey(os.fspath(path), sound_track, video_track, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=8)
def _survey(path: str, sound_track: int | None, video_track: int | None, changed: int, size: int) -> Survey:
    sound, video = choose_sound(path, sound_track), choose_video(path, video_track)
    with open_media(path) as container:
        rows = _collect(container, [container.streams[index] for index in (sound, video) if index is not None])
        sounds, pictures = (rows.get(index, np.empty((0, 4))) for index in (sound, video))
        if container.format.name in _COUNTED:
            sounds[1:, :2] = np.nan
        heard, shown = (np.where(np.isfinite(track[:, 0]), track[:, 0], track[:, 1]) for track in (sounds, pictures))
        zero = _zero(container, {sound: heard, video: shown})
        line = close_leaps(_stamps(sounds, heard), _stamps(pictures, pictures[:, 1]), zero)
        heard, shown = heard - line.sound - zero, shown - line.video - zero
        shown, ranks = _in_order(shown, heard[line.joints[:, 0]], line.joints[:, 1])
        end = max(float(np.nanmax(heard + sounds[:, 2], initial=0.0)), float(sounds[:, 2].sum()))
        sound_notes = _choice("sound", "audio", sound_tracks(container), sound, sound_track)
        video_notes = _choice("video", "video", video_tracks(container), video, video_track)
        video_notes += _pixels(container, video)
        announced = announced_seconds(container, path)
    reached = max(end, float(shown.max(initial=0.0)))
    reached = max(reached, reached + zero)  # some count from zero, others from their start
    if announced is not None and reached > 0 and announced - reached > _MISSING:
        sound_notes += (f"the file ends early: {reached:.1f} of its {announced:.1f} s are there",)
    return Survey(zero, sound, video, heard, shown, ranks, end, sound_notes, video_notes)


def coder_delay(container: InputContainer, stream: AudioStream) -> float:
    """Seconds that a coder put in front of the sound, where neither the file nor FFmpeg says so."""
    samples = _CODER_DELAY.get((container.format.name, stream.codec_context.name.removesuffix("float")), 0)
    return 0.0 if stream.start_time or not samples else samples / float(stream.codec_context.sample_rate or 1)


def _collect(container: InputContainer, streams: Sequence[Stream]) -> dict[int | None, NDArray[np.float64]]:
    """By stream a row for each packet: seconds of presentation, of decoding, and of length; place in the file."""
    rows: dict[int | None, list[tuple[float, float, float, float]]] = {stream.index: [] for stream in streams}
    for place, packet in enumerate(packets(container, streams)):
        if packet.size:
            base = float(packet.time_base or 0)
            shown, decoded = (np.nan if ticks is None else ticks * base for ticks in (packet.pts, packet.dts))
            rows[packet.stream_index].append((shown, decoded, (packet.duration or 0) * base, place))
    return {index: np.array(found, dtype=np.float64).reshape(-1, 4) for index, found in rows.items()}


def _stamps(rows: NDArray[np.float64], times: NDArray[np.float64]) -> Stamps:
    return Stamps(times, rows[:, 2], rows[:, 3].astype(np.int64))


def _zero(container: InputContainer, firsts: dict[int | None, NDArray[np.float64]]) -> float:
    """When the earliest track starts: there players start too."""
    starts = []
    for index, times in firsts.items():
        first = next(iter(times[np.isfinite(times)].tolist()), None)
        if index is None or first is None:
            continue
        stream = container.streams[index]
        says = None if stream.start_time is None else float(stream.start_time * (stream.time_base or 0))
        starts.append(first if says is None or abs(says - first) > _FAR else says)
    return min(starts, default=0.0)


def _in_order(
    times: NDArray[np.float64], joints: NDArray[np.float64], firsts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sorted times of the pictures, and the rank of each packet; parts begin at ``joints``, with packets ``firsts``."""
    part = np.searchsorted(firsts, np.arange(len(times)), side="right")
    begin, stop = np.concatenate([[-np.inf], joints]), np.concatenate([joints, [np.inf]])
    kept = np.flatnonzero((times >= begin[part] - 1e-6) & (times < stop[part]))  # NaN compares false
    kept = kept[np.argsort(times[kept], kind="stable")]
    ranks = np.full(len(times), -1, dtype=np.int64)
    ranks[kept] = np.arange(len(kept))
    return times[kept], ranks


def _pixels(container: InputContainer, video: int | None) -> tuple[str, ...]:
    stream = None if video is None else container.streams[video]
    if not isinstance(stream, VideoStream) or pixel_aspect(stream) is not None:
        return ()
    said = stream.sample_aspect_ratio
    return (f"its pixel aspect ratio, {said}, is no video's: pixels are taken for squares",)


def _choice(kind: str, option: str, tracks: Sequence[Stream], chosen: int | None, asked: int | None) -> tuple[str, ...]:
    if asked is not None or chosen is None or len(tracks) < 2:
        return ()
    number = [track.index for track in tracks].index(chosen) + 1
    return (f"of {len(tracks)} {kind} tracks number {number} was used: --{option}-track chooses another",)
