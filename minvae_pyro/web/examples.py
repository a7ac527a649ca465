"""Examples that run at a click: synthetic talkers in noise, drawn when they are asked for, so that none is shipped."""

from __future__ import annotations

import functools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from minvae_pyro.audio.files import Sound
from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.files import digest_of
from minvae_pyro.synthetic.noise import synthetic_noise
from minvae_pyro.synthetic.talker import draw_talker, synthesise
from minvae_pyro.web.film import write_film

EXAMPLES = {
    "A talker in a machine's hum": ("hum", 0.0, 21),
    "A talker at a keyboard": ("clicks", 0.0, 22),
    "A talker among talkers": ("babble", 5.0, 23),
}
"""By what the button says: kind of noise, signal-to-noise ratio in dB, seed."""

_SECONDS = 3.0
_PICTURES = 30  # a second, as the command line takes lip files to have
_SIDE = 268  # pixels of the film; the model gets the pictures as they were drawn

_mouths: dict[str, Path] = {}  # of the films of examples, by their digests


def example(name: str, folder: Path) -> Path:
    """The film of an example, drawn into a folder when it is asked for first."""
    kind, snr, seed = EXAMPLES[name]
    film = folder / f"talker-in-{kind}.mp4"
    if not film.exists():
        _mouths[digest_of(draw_example(film, kind, snr, seed))] = film.with_suffix(".npy")
    return film


def mouths_of(recording: Path) -> Path | None:
    """The mouth crops of an example, whose film shows no face that could be found; None for any other recording."""
    return _mouths.get(digest_of(recording)) if _mouths else None


def draw_example(film: Path, kind: str, snr_db: float, seed: int, seconds: float = _SECONDS) -> Path:
    """Write the film of a synthetic talker in noise, and beside it the mouth crops (``.npy``, 30 a second)."""
    talk = synthesise(seconds, seed, talker=draw_talker(seed), frames_per_second=_PICTURES)
    noisy, _ = mix_at_snr(talk.waveform, synthetic_noise(kind, len(talk.waveform), seed), snr_db)
    np.save(film.with_suffix(".npy"), talk.crops.numpy())
    silent = film.with_suffix(".silent.mp4")
    with av.open(str(silent), "w") as container:
        stream: Any = container.add_stream(_codec(), rate=_PICTURES)
        stream.width = stream.height = _SIDE
        stream.pix_fmt = "yuv420p"
        for number, crop in enumerate(talk.crops.numpy()):
            enlarged = cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
            frame = av.VideoFrame.from_ndarray(enlarged, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, _PICTURES)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    written = write_film(film, silent, Sound(noisy[None], talk.sample_rate))
    silent.unlink()
    return written


@functools.cache
def _codec() -> str:
    """H.264 where FFmpeg was built with it: every browser plays it."""
    return next(name for name in ("libx264", "libopenh264", "mpeg4") if name in av.codecs_available)
