"""A film for a player in the browser: the pictures of a recording as they are, beside another sound."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet

from minvae_pyro.audio.files import Sound
from minvae_pyro.errors import UserError
from minvae_pyro.media.container import UNREADABLE, open_media, packets
from minvae_pyro.media.survey import Survey, survey

_BLOCK = 16384  # samples that are encoded at a time
_RATE = 48000  # Hz, of sound whose own rate the codec does not know
# codec of the pictures: suffix and container that browsers play them in, codec of the sound
_WEBM = (".webm", "webm", "libopus")
_CONTAINERS = {"vp8": _WEBM, "vp9": _WEBM, "av1": _WEBM}
_OTHERS = (".mp4", "mp4", "aac")


def write_film(path: Path, picture: Path, sound: Sound) -> Path:
    """Write a film of the pictures of a file, packet by packet, and a sound that begins at the zero of that file.

    Args:
        path: what to write; its suffix is replaced by that of the container that suits the pictures.
        picture: the file with the pictures.
        sound: up to two channels are kept, of more their mean.

    Returns:
        The file.

    Raises:
        UserError: the file has no pictures, or they cannot be copied.
    """
    file = survey(picture)
    if file.video is None or not len(file.shown):
        raise UserError(f"{picture} has no pictures that a player could show beside the sound.")
    with open_media(picture) as source:
        stream: Any = source.streams[file.video]
        suffix, container, codec = _CONTAINERS.get(stream.codec_context.name.removesuffix("-alpha"), _OTHERS)
        path = path.with_suffix(suffix)
        options = {"movflags": "faststart"} if container == "mp4" else {}
        try:
            with av.open(f"file:{path}", "w", format=container, options=options) as film:
                film_stream = film.add_stream_from_template(stream)
                pictures = _pictures(packets(source, [stream]), file, stream, film_stream)
                for packet in heapq.merge(pictures, _sound(film, codec, sound), key=_seconds):
                    film.mux(packet)
        except UNREADABLE as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise UserError(f"the pictures of {picture} cannot be copied beside another sound ({reason}).") from error
    return path


def _pictures(found: Iterator[Packet], file: Survey, stream: Any, film_stream: Any) -> Iterator[Packet]:
    """The packets with the time stamps of the survey's time line: those of leaping clocks with the leap closed."""
    base = stream.time_base
    move = last = None
    for number, packet in enumerate(found):
        rank = int(file.ranks[number]) if number < len(file.ranks) else -1
        if not packet.size or rank < 0 or packet.pts is None:
            continue
        now = round(Fraction(file.shown[rank]) / base)
        move = now - packet.pts if move is None or abs(now - packet.pts - move) > 1 else move
        packet.dts = packet.dts + move if packet.dts is not None else now
        packet.pts = packet.pts + move
        if last is not None and packet.dts <= last:
            packet.dts = last + 1
        packet.pts, last = max(packet.pts, packet.dts), packet.dts
        packet.stream = film_stream
        yield packet


def _sound(film: Any, codec: str, sound: Sound) -> Iterator[Packet]:
    known = av.Codec(codec, "w").audio_rates or [_RATE]
    sound = sound.resample(sound.sample_rate if sound.sample_rate in known else _RATE)
    waveform = sound.waveform if len(sound.waveform) <= 2 else sound.mono()[None]
    samples = (waveform / max(1.0, float(waveform.abs().max()))).cpu().numpy().astype(np.float32)
    layout = "mono" if len(samples) == 1 else "stereo"
    stream = film.add_stream(codec, rate=sound.sample_rate, layout=layout)
    stream.bit_rate = 128_000 * len(samples)
    resampler = av.AudioResampler(format=stream.format, layout=layout, rate=sound.sample_rate)

    def encoded() -> Iterator[Packet]:
        for first in range(0, samples.shape[1], _BLOCK):
            block = np.ascontiguousarray(samples[:, first : first + _BLOCK])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = sound.sample_rate, first, Fraction(1, sound.sample_rate)
            for piece in resampler.resample(frame):
                yield from stream.encode(piece)
        yield from stream.encode(None)

    return encoded()


def _seconds(packet: Packet) -> float:
    return float((packet.dts or 0) * (packet.time_base or 0))
