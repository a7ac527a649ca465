from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest


def write_video(
    path: Path,
    sound: np.ndarray | None,
    rate: int,
    codec: str,
    *,
    seconds: float = 2.0,
    sound_start: float = 0.0,
    video_start: float = 0.0,
    gap: tuple[float, float] | None = None,
) -> Path:
    """Mux a grey video with a sound track by PyAV.

    Args:
        path: suffix chooses the container.
        sound: (samples,) mono in [-1, 1], or None for no sound track.
        rate: of the sound, Hz.
        codec: of the sound.
        seconds: length of the video.
        sound_start: time stamp of the first sound sample.
        video_start: time stamp of the first picture.
        gap: leave the sound between these two times out, time stamps running on.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg1video" if path.suffix == ".mpg" else "mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = container.add_stream(codec, rate=rate, layout="mono") if sound is not None else None
        packets = []
        for number in range(round(seconds * 25)):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32), number % 250, np.uint8), format="gray")
            picture.pts = number + round(video_start * 25)
            packets += video.encode(picture)
        packets += video.encode(None)
        if audio is not None:
            step = audio.codec_context.frame_size or 800
            for start in range(0, len(sound), step):
                time = start / rate
                if gap and gap[0] <= time < gap[1]:
                    continue
                piece = (sound[start : start + step] * 32767).round().astype(np.int16)
                frame = av.AudioFrame.from_ndarray(piece[None], format="s16", layout="mono")
                frame.sample_rate = rate
                frame.pts = start + round(sound_start * rate)
                packets += audio.encode(frame)
            packets += audio.encode(None)
        for packet in sorted(packets, key=lambda p: float(p.dts * p.time_base)):
            container.mux(packet)
    return path


@pytest.fixture
def make_video() -> Callable[..., Path]:
    return write_video
