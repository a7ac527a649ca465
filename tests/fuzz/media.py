"""Damaged media by seed: small files of many formats, and every one of them broken in some way.

python -m tests.fuzz.media SEED NUMBER
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from minvae_pyro.audio.files import read_sound
from minvae_pyro.errors import UserError
from minvae_pyro.video.frames import read_frames
from tests.fuzz.outcome import report

FORMATS: dict[str, tuple[str, str, int]] = {
    # suffix: codecs of pictures ("" for none) and sound, and its rate
    ".mp4": ("mpeg4", "aac", 44100),
    ".mov": ("mpeg4", "pcm_s16le", 16000),
    ".mkv": ("mpeg4", "flac", 16000),
    ".webm": ("libvpx", "libopus", 48000),
    ".avi": ("mpeg4", "libmp3lame", 16000),
    ".ts": ("mpeg2video", "mp2", 44100),
    ".mpg": ("mpeg2video", "mp2", 44100),
    ".flv": ("flv", "aac", 44100),
    ".3gp": ("mpeg4", "aac", 16000),
    ".m4a": ("", "aac", 44100),
    ".wav": ("", "pcm_s16le", 16000),
    ".flac": ("", "flac", 16000),
    ".mp3": ("", "libmp3lame", 16000),
    ".ogg": ("", "flac", 16000),
    ".opus": ("", "libopus", 48000),
    ".aac": ("", "aac", 16000),
    ".aiff": ("", "pcm_s16be", 16000),
}
"""The formats that are damaged."""

_SECONDS = 0.6


@functools.cache
def sound_media(suffix: str) -> bytes:
    """A file of the format, as it should be: a tone, and pictures that change where the format has some."""
    pictures, sound, rate = FORMATS[suffix]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"whole{suffix}")
        with av.open(str(path), "w") as container:
            packets = []
            if pictures:
                film = container.add_stream(pictures, rate=25)
                film.width, film.height, film.pix_fmt = 48, 32, "yuv420p"
                for number in range(round(25 * _SECONDS)):
                    picture = av.VideoFrame.from_ndarray(np.full((32, 48), 20 + 12 * number, np.uint8), format="gray")
                    picture.pts, picture.time_base = number, Fraction(1, 25)
                    packets += film.encode(picture)
                packets += film.encode(None)
            heard = container.add_stream(sound, rate=rate, layout="mono")
            context = heard.codec_context
            resampler = av.AudioResampler(
                format=context.format, layout="mono", rate=rate, frame_size=context.frame_size
            )
            tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * _SECONDS)) / rate)
            frame = av.AudioFrame.from_ndarray((tone * 32767).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                packets += heard.encode(piece)
            packets += heard.encode(None)
            for packet in sorted(packets, key=lambda packet: float((packet.dts or 0) * packet.time_base)):
                container.mux(packet)
        return path.read_bytes()


def _flip(content: bytearray, random: np.random.Generator) -> None:
    for place in random.integers(0, len(content), random.integers(1, 40)):
        content[place] ^= 1 << int(random.integers(8))


def _flip_head(content: bytearray, random: np.random.Generator) -> None:
    for place in random.integers(0, min(len(content), 600), random.integers(1, 10)):
        content[place] = int(random.integers(256))


def _cut(content: bytearray, random: np.random.Generator) -> None:
    del content[int(random.integers(0, len(content))) :]


def _drop(content: bytearray, random: np.random.Generator) -> None:
    """Leave out stretches of about a packet's size."""
    for _ in range(int(random.integers(1, 6))):
        start = int(random.integers(0, max(1, len(content))))
        del content[start : start + int(random.integers(1, 400))]


def _length(content: bytearray, random: np.random.Generator) -> None:
    """Overwrite numbers in the head, where lengths, rates and counts stand, by extreme ones."""
    extremes = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, int(random.integers(2**32)))
    for _ in range(int(random.integers(1, 4))):
        place = int(random.integers(0, max(1, min(len(content), 800) - 4)))
        order = "little" if random.integers(2) else "big"
        content[place : place + 4] = extremes[random.integers(len(extremes))].to_bytes(4, order)


def _zero(content: bytearray, random: np.random.Generator) -> None:
    start = int(random.integers(0, len(content)))
    size = min(len(content) - start, int(random.integers(1, 2000)))
    content[start : start + size] = bytes(size)


def _join(content: bytearray, random: np.random.Generator) -> None:
    """The file again, or a part of it, behind itself."""
    content += content[int(random.integers(0, len(content))) :]


_DAMAGE: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    *(_flip, _flip_head, _cut, _drop, _length, _zero, _join),
)


def damaged(seed: int) -> tuple[str, bytes]:
    """A name, which says what was done, and a damaged file; each seed gives another, always the same."""
    random = np.random.default_rng(seed)
    suffix = list(FORMATS)[seed % len(FORMATS)]
    content = bytearray(sound_media(suffix))
    done = []
    for _ in range(int(random.integers(1, 3))):
        damage = _DAMAGE[random.integers(len(_DAMAGE))]
        if content:
            damage(content, random)
        done.append(damage.__name__.strip("_").replace("_", "-"))
    return f"{seed}-{'-'.join(done)}{suffix}", bytes(content)


def damaged_media(seeds: range, folder: Path) -> Iterator[tuple[str, Path]]:
    """The damaged files of some seeds, one after the other in a folder: (name, file)."""
    for seed in seeds:
        name, content = damaged(seed)
        file = folder / name
        file.write_bytes(content)
        yield name, file
        file.unlink()


def use(path: Path) -> None:
    """Read the sound, then the pictures; the file is refused where both are."""
    refused = []
    for read in (read_sound, lambda file: sum(1 for _ in read_frames(file))):
        try:
            read(path)
        except UserError as error:
            refused.append(error)
    if len(refused) == 2:
        raise refused[0]


def run(seed: int, number: int) -> int:
    """Print what becomes of so many damaged files, and return the number of faults."""
    with tempfile.TemporaryDirectory() as folder:
        return report(f"media, seeds from {seed}", damaged_media(range(seed, seed + number), Path(folder)), use, 20.0)


if __name__ == "__main__":
    sys.exit(min(1, run(int(sys.argv[1]), int(sys.argv[2]))))
