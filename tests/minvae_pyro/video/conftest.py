"""Videos made up for the tests of the video front end."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from minvae_pyro.video.frames import read_frames


def write_video(
    path: Path,
    pictures: Sequence[np.ndarray],
    rate: Fraction | int = 25,
    *,
    codec: str = "mpeg4",
    start: float = 0.0,
    sound: bool = False,
    turn: int = 0,
    pixel_aspect: Fraction | None = None,
    cover_art: bool = False,
) -> Path:
    """Write grey pictures as a video, nearly without loss; on demand with silence from time 0 on."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=rate, options={"qmin": "1", "qmax": "1"})
        video.height, video.width = pictures[0].shape
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        video.codec_context.time_base = 1 / Fraction(rate)
        if pixel_aspect is not None:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if turn:
            video.set_display_rotation(turn)
        if cover_art:
            video.disposition = Disposition.attached_pic
        if sound:
            sound_codec = "mp2" if path.suffix == ".ts" else "aac"
            audio = container.add_stream(sound_codec, rate=48000, layout="mono")
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.int16), format="s16", layout="mono")
            silence.sample_rate = 48000
            silence.pts = 0
            container.mux(audio.encode(silence))
            container.mux(audio.encode())
        first = round(start * rate)
        for number, picture in enumerate(pictures):
            grey = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray")
            grey.pts, grey.time_base = first + number, 1 / Fraction(rate)
            container.mux(video.encode(grey))
        container.mux(video.encode())
    return path


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    return write_video


@pytest.fixture(scope="session")
def grid_pictures(real_data: Path) -> list[np.ndarray]:
    """The 75 frames of a real sentence, (288, 360) each."""
    return [frame.picture for frame in read_frames(real_data / "grid" / "s1" / "train" / "bgbn8n.mkv")]
