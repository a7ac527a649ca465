"""A film with another sound: its pictures copied as they are, packet by packet, the sound put beside them in time."""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition
from numpy.typing import NDArray

from minvae_pyro.errors import UserError
from minvae_pyro.files import replacing
from minvae_pyro.media.container import open_media, packets
from minvae_pyro.media.survey import Survey, survey

FILMS = {".mp4": ("mp4", "aac"), ".m4v": ("mp4", "aac"), ".mov": ("mov", "aac"), ".mkv": ("matroska", "flac")}
"""Suffixes of films that can be written: container, and codec of the sound."""

_CONTAINERS = {**FILMS, ".webm": ("webm", "libopus")}  # what players in browsers take for some pictures, too
_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")  # by the number of channels
_SAMPLES = {"aac": "fltp", "libopus": "flt", "flac": "s32"}  # what each codec of sound is given
_BIT_RATE = 128_000  # of AAC and Opus for a channel
_BITS = 4  # a sample, which AAC can hold at low rates
_BLOCK = 16384  # samples that are encoded at a time
_FAR = 1.0  # seconds, further than from one packet to the next
_OF_A_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}  # and of no other

Retime = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From seconds on the time line of a file to seconds of the sound."""


@dataclass(frozen=True)
class SoundTrack:
    """A sound for a film, which begins at its zero (:class:`minvae_pyro.media.survey.Survey`).

    Attributes:
        samples: (channels, samples) float32, up to 1 in magnitude.
        rate: Hz, one that :func:`film_rate` gives.
        title: shown by players.
    """

    samples: NDArray[np.float32]
    rate: int
    title: str


def film_rate(path: str | os.PathLike[str], rate: int) -> int:
    """The sample rate for a film of that suffix: as it is, or the next that its codec knows."""
    known = sorted(av.Codec(_CONTAINERS[Path(path).suffix.lower()][1], "w").audio_rates or [rate])
    return rate if rate in known else next((one for one in known if one > rate), 48000)


def check_film(path: str | os.PathLike[str], picture: str | os.PathLike[str], video_track: int | None = None) -> None:
    """See that the pictures of a file can be copied into a film of that suffix.

    Raises:
        UserError: they cannot, or there are none.
    """
    suffix = Path(path).suffix.lower()
    file = survey(picture, video_track=video_track)
    if file.video is None:
        raise UserError(f"{path} needs pictures, and {picture} has no video track: write .wav or .flac.")
    if not len(file.shown):
        raise UserError(f"the pictures of {picture} do not say when they are shown: convert it to MP4 first.")
    with open_media(picture) as source, av.open(os.devnull, "w", format=_CONTAINERS[suffix][0]) as film:
        stream: Any = source.streams[file.video]
        codec = _codec(stream)
        if codec not in film.supported_codecs:
            raise UserError(f"the pictures of {picture} ({codec}) cannot be copied into {suffix}: write .mkv.")


def write_film(
    path: str | os.PathLike[str],
    picture: str | os.PathLike[str],
    sound: SoundTrack,
    *,
    original: SoundTrack | None = None,
    copy_original: bool = False,
    retime: Retime | None = None,
    video_track: int | None = None,
    sound_track: int | None = None,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Write a film of the pictures of a file and a sound, whole or not at all.

    The packets of the pictures are those of the file, with their rotation; subtitles, chapters and tags go along where
    the container takes them. Time stamps are moved so that the sound is at the zero of the time line on which it was
    read: where clocks leap the leap is closed, and where the sound runs by another clock the pictures follow it.

    Args:
        path: what to write; the suffix is one of :data:`FILMS`, or ``.webm``.
        picture: the file with the pictures.
        sound: the first sound track.
        original: the sound as it was, as the second track.
        copy_original: take its packets from ``picture`` instead of these samples, where the container takes them.
        retime: see :data:`Retime`; as it is by default.
        video_track: as of :func:`minvae_pyro.media.survey.survey`.
        sound_track: the same of the sound that the pictures are timed with.
        overwrite: replace a file that exists.

    Returns:
        Plain sentences on what was left out.

    Raises:
        UserError: the pictures cannot be copied, or the file cannot be written.
    """
    path = Path(path)
    check_film(path, picture, video_track)
    container, codec = _CONTAINERS[path.suffix.lower()]
    file = survey(picture, sound_track, video_track)
    options = {} if container in ("matroska", "webm") else {"movflags": "faststart"}
    with open_media(picture) as source, replacing(path, overwrite=overwrite) as part:
        try:
            with av.open(f"file:{part}", "w", format=container, options=options) as film:
                _tags(film, source)
                tracks = _Tracks(sound, original, copy_original and file.sound is not None, codec)
                left_out = _fill(film, source, file, tracks, retime or (lambda times: times))
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise UserError(f"cannot write {path} ({error.strerror}): write .mkv, or .wav.") from error
    return left_out


@dataclass(frozen=True)
class _Tracks:
    sound: SoundTrack
    original: SoundTrack | None
    copied: bool
    codec: str


def _fill(
    film: OutputContainer, source: InputContainer, file: Survey, tracks: _Tracks, retime: Retime
) -> tuple[str, ...]:
    assert file.video is not None
    left_out = []
    own = None if file.sound is None else source.streams[file.sound]
    said = {} if own is None else _said(own.metadata)
    copied = {file.video: _template(film, source, file.video)}
    encoded = [(_sound_stream(film, tracks.sound, tracks.codec, own, said), tracks.sound)]
    encoded[0][0].disposition = Disposition.default
    if tracks.original is not None:
        if tracks.copied and own is not None and _plays(film, own):
            second = copied[own.index] = _template(film, source, own.index)
            second.metadata["title"] = tracks.original.title
        else:
            second = _sound_stream(film, tracks.original, tracks.codec, own, said)
            encoded.append((second, tracks.original))
        second.disposition = Disposition(0)
    for subtitle in source.streams.subtitles:
        if _codec(subtitle) in film.supported_codecs:
            copied[subtitle.index] = _template(film, source, subtitle.index)
        else:
            left_out.append(f"subtitles ({_codec(subtitle)}) cannot be in such a film and are left out")
    sources = [_copies(source, copied, _times(source, file, retime)), *(_encodings(*pair) for pair in encoded)]
    for _, packet in heapq.merge(*sources, key=lambda timed: timed[0]):
        film.mux(packet)
    return tuple(left_out)


def _plays(film: OutputContainer, stream: Any) -> bool:
    """Whether a sound can be copied into a film so that players find it: samples in MP4 are new to most."""
    codec = _codec(stream)
    return codec in film.supported_codecs and not (film.format.name == "mp4" and codec.startswith("pcm_"))


def _codec(stream: Any) -> str:
    """Name of the codec, whoever decodes it."""
    return "unknown" if stream.codec_context is None else str(stream.codec_context.codec.canonical_name)


def _template(film: OutputContainer, source: InputContainer, index: int) -> Any:
    stream: Any = source.streams[index]
    made: Any = film.add_stream_from_template(stream)
    made.metadata.update(_said(stream.metadata))
    made.disposition = stream.disposition
    return made


def _said(metadata: Mapping[str, str]) -> dict[str, str]:
    """Tags, without those that say how the file was written."""
    return {key: value for key, value in metadata.items() if key.lower() not in _OF_A_FILE and "STATISTICS" not in key}


def _tags(film: OutputContainer, source: InputContainer) -> None:
    film.metadata.update(_said(source.metadata))
    if chapters := source.chapters():
        film.set_chapters(chapters)


def _sound_stream(film: OutputContainer, sound: SoundTrack, codec: str, like: Any, tags: Mapping[str, str]) -> Any:
    channels = len(sound.samples)
    if channels > len(_LAYOUTS):
        raise UserError(f"a film has up to {len(_LAYOUTS)} channels of sound, not {channels}: write .wav.")
    known: Any = None if like is None or like.codec_context is None else like.codec_context.layout
    # of some files only the number of channels is known, which no encoder takes
    same = known is not None and known.nb_channels == channels and " " not in known.name
    layout = known.name if same else _LAYOUTS[channels - 1]
    stream: Any = film.add_stream(codec, rate=sound.rate, layout=layout)
    stream.format = _SAMPLES[codec]
    stream.time_base = Fraction(1, sound.rate)
    if codec != "flac":
        stream.bit_rate = channels * min(_BIT_RATE, _BITS * sound.rate)
    stream.metadata.update({**tags, "title": sound.title})
    return stream


def _encodings(stream: Any, sound: SoundTrack) -> Iterator[tuple[float, Packet]]:
    """Packets of a sound, each with its seconds."""
    whole = stream.format.name == "s32"
    for start in [*range(0, sound.samples.shape[1], _BLOCK), None]:
        frame = None
        if start is not None:
            block: NDArray[Any] = sound.samples[:, start : start + _BLOCK]
            if whole:  # 24 bits, at the top of 32
                block = np.clip(np.round(block * 2.0**23), -(2**23), 2**23 - 1).astype(np.int32) << 8
            # channels side by side, which PyAV can do for any number
            packed = np.ascontiguousarray(block.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, format="s32" if whole else "flt", layout=stream.layout.name)
            frame.sample_rate, frame.pts, frame.time_base = sound.rate, start, Fraction(1, sound.rate)
        for packet in stream.encode(frame):
            yield float(packet.dts * packet.time_base), packet


Times = Callable[[Packet, int], float]
"""Seconds of the new time line at which a packet, the n-th of its stream, is shown; NaN where nobody knows."""


def _times(source: InputContainer, file: Survey, retime: Retime) -> Times:
    ranks = file.ranks
    # the last time is that of packets without a place
    shown = np.append(retime(file.shown), np.nan)[ranks] if len(ranks) else np.empty(0)
    known = {file.video: shown, file.sound: retime(file.heard)}

    def time(packet: Packet, number: int) -> float:
        of_stream = known.get(packet.stream_index)
        if of_stream is not None:
            return float(of_stream[number]) if number < len(of_stream) else math.nan
        ticks = packet.dts if packet.pts is None else packet.pts
        seconds = math.nan if ticks is None else float(ticks * (packet.time_base or 0)) - file.zero
        return float(retime(np.array([seconds]))[0])

    return time


def _copies(source: InputContainer, streams: Mapping[int, Any], time: Times) -> Iterator[tuple[float, Packet]]:
    """The packets of some streams for others of the film, each with its seconds."""
    numbers = dict.fromkeys(streams, 0)
    late = dict.fromkeys(streams, 0)  # ticks by which the time line of the file is behind
    last: dict[int, int] = {}
    for packet in packets(source, [source.streams[index] for index in streams]):
        if not packet.size:
            continue
        index = packet.stream_index
        seconds = time(packet, numbers[index])
        numbers[index] += 1
        base = packet.time_base or Fraction(1, 1000)
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None:
            if math.isnan(seconds):
                continue
            stamp = round(seconds / base)
        if not math.isnan(seconds):
            late[index] = stamp - round(seconds / base)
        pts = stamp - late[index]
        if math.isnan(seconds) and index in last and abs(pts - last[index]) * base > _FAR:
            pts = last[index] + 1  # by a clock that leaps, and in nobody's sight
        # decoding goes on, and comes before showing
        dts = pts if packet.dts is None else min(packet.dts - late[index], pts)
        dts = max(dts, last.get(index, dts - 1) + 1)
        packet.dts, packet.pts = dts, max(pts, dts)
        last[index] = dts
        packet.stream = streams[index]
        yield float(dts * base), packet
