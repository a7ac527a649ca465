"""A small model that is trained once for all tests, an inference whose outcome is known, and films that click.

Their picture flashes whenever their sound clicks, with time stamps of any kind.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.stream import Disposition

import minvae_pyro.enhancement.filter
from minvae_pyro.audio.files import read_sound
from minvae_pyro.synthetic.talker import SyntheticUtterance, synthesise
from minvae_pyro.training.run import train
from minvae_pyro.utterances import Utterances
from minvae_pyro.video.frames import read_frames

TICKS = 90000
CODECS = {
    ".ts": ("mpeg2video", "mp2", 44100),
    ".mpg": ("mpeg2video", "mp2", 44100),
    ".mkv": ("mpeg4", "flac", 16000),
    ".mp4": ("mpeg4", "aac", 44100),
    ".mov": ("mpeg4", "aac", 48000),
    ".avi": ("mpeg4", "pcm_s16le", 16000),
    ".webm": ("libvpx", "libopus", 48000),
}


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a MIN-VAE that was trained for some seconds."""
    options = {
        "config": "demo",
        "epochs": "5",
        "data.batch_size": "2",
        "data.train.init_args.utterances": "8",
        "data.train.init_args.seconds": "1",
        "data.validation.init_args.utterances": "2",
        "output": str(tmp_path_factory.mktemp("tiny") / "run"),
    }
    return train([part for name, value in options.items() for part in (f"--{name}", value)])


@pytest.fixture(scope="session")
def utterance() -> SyntheticUtterance:
    """One second of the synthetic talker."""
    return synthesise(1.0, 77)


class KnownInference:
    """Stands in for `infer`: every window of the n-th call gets the gain ``gains[n]``, the last one from then on.

    Attributes:
        gains: at all times and frequencies.
        batches: what it was asked to infer.
    """

    def __init__(self) -> None:
        self.gains = [1.0]
        self.batches: list[Utterances] = []

    def __call__(
        self, checkpoint: Any, utterances: Utterances, *, callback: Callable[..., None], **options: Any
    ) -> SimpleNamespace:
        gain = self.gains[min(len(self.batches), len(self.gains) - 1)]
        self.batches.append(utterances)
        for iteration in (1, 2):
            callback(iteration, 2, -1.0 / iteration)
        return SimpleNamespace(
            gain=torch.full(utterances.spectrum.shape, gain),
            audio_responsibility=torch.full(utterances.mask.shape, 1 - gain),
            objective=[-1.0, -0.5],
        )


@pytest.fixture
def known_inference(monkeypatch: pytest.MonkeyPatch) -> KnownInference:
    """Put `KnownInference` in the place of `infer`."""
    known = KnownInference()
    monkeypatch.setattr(minvae_pyro.enhancement.filter, "infer", known)
    return known


def write_film(
    path: Path,
    *,
    clicks: Sequence[float] = (0.4, 1.2),
    seconds: float = 2.0,
    shown: Sequence[float] | None = None,
    picture_stamp: Callable[[float], float] = float,
    sound_stamp: Callable[[float], float] = float,
    tracks: str = "va",
    default: str = "",
    channels: str = "mono",
) -> Path:
    """Write a film of grey pictures that turn white for 0.2 s when its sound clicks.

    Args:
        path: the suffix chooses container and codecs.
        clicks: times of clicks and flashes.
        seconds: length.
        shown: times at which pictures are taken; 25 a second by default.
        picture_stamp: time that is written for a picture taken at some time.
        sound_stamp: the same for the sound.
        tracks: in their order: v(ideo), a(udio), b(lack video), s(ilence).
        default: for each track, whether it is flagged as default: y or n; all as the container likes if empty.
        channels: layout of the sound.
    """
    picture_codec, sound_codec, rate = CODECS[path.suffix]
    shown = np.arange(0, seconds, 0.04) if shown is None else shown
    options = {"mpegts_flags": "initial_discontinuity"} if path.suffix == ".ts" else {}
    with av.open(str(path), "w", options=options) as container:
        packets = []
        for number, kind in enumerate(tracks):
            if kind in "vb":
                stream = container.add_stream(picture_codec, rate=25)
                stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
                new = _pictures(stream, [] if kind == "b" else clicks, shown, picture_stamp)
            else:
                stream = container.add_stream(sound_codec, rate=rate, layout=channels)
                new = _sounds(stream, [] if kind == "s" else clicks, seconds, rate, channels, sound_stamp)
            if default:
                stream.disposition = Disposition.default if default[number] == "y" else Disposition(0)
            packets.append(new)
        for packet in sorted((p for new in packets for p in new), key=lambda p: float(p.dts * p.time_base)):
            container.mux(packet)
    return path


def _stamped(packets, times, duration):
    for packet, time in zip(packets, times, strict=False):
        packet.time_base = Fraction(1, TICKS)
        packet.pts = packet.dts = round(time * TICKS)
        packet.duration = round(duration * TICKS)
        yield packet


def _pictures(stream, clicks, shown, stamp):
    packets = []
    for number, time in enumerate(shown):
        lit = any(click <= time + 1e-6 < click + 0.2 for click in clicks)
        picture = av.VideoFrame.from_ndarray(np.full((48, 64), 220 if lit else 30, np.uint8), format="gray")
        picture.pts = number
        packets += stream.encode(picture)
    return list(_stamped([*packets, *stream.encode(None)], [stamp(time) for time in shown], 0.04))


def _sounds(stream, clicks, seconds, rate, channels, stamp):
    time = np.arange(round(seconds * rate)) / rate
    sound = np.zeros(len(time))
    for click in clicks:
        after = np.clip(time - click, 0, None)
        sound += 0.8 * (time >= click) * np.exp(-after * 60) * np.sin(2 * np.pi * 800 * after)
    count = len(av.AudioLayout(channels).channels)
    step = stream.codec_context.frame_size or 960
    packets, size = [], step
    for start in range(0, len(sound), step):
        piece = np.tile((sound[start : start + step] * 32767).round().astype(np.int16), (count, 1))
        frame = av.AudioFrame.from_ndarray(piece.T.reshape(1, -1), format="s16", layout=channels)
        frame.sample_rate, frame.pts = rate, start
        packets += stream.encode(frame)
    packets += stream.encode(None)
    size = stream.codec_context.frame_size or step
    delay = packets[0].pts * packets[0].time_base if packets else 0  # of the coder
    return list(_stamped(packets, [stamp(float(delay) + n * size / rate) for n in range(len(packets))], size / rate))


def heard_and_seen(path: Path, **tracks: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Seconds of sound before each click, and before each flash; and how long the sound is."""
    sound = read_sound(path, tracks.get("audio"))
    loud = np.flatnonzero(np.abs(sound.waveform[0].numpy()) > 0.25) / sound.sample_rate
    clicks = loud[np.diff(loud, prepend=-1.0) > 0.25]
    frames = list(read_frames(path, track=tracks.get("video"), sound_track=tracks.get("audio")))
    times = np.array([frame.time for frame in frames])
    assert (np.diff(times) > 0).all()
    if sound.clock is not None:
        times = sound.clock.to_sound(times)
    lit = np.array([frame.picture.mean() > 125 for frame in frames], dtype=int)
    return clicks, times[np.flatnonzero(np.diff(lit, prepend=0) == 1)], sound.seconds


@pytest.fixture(scope="session")
def make_film() -> Callable[..., Path]:
    return write_film


@pytest.fixture(scope="session")
def observe() -> Callable[..., tuple[np.ndarray, np.ndarray, float]]:
    return heard_and_seen
