"""Films for players: pictures copied packet by packet, on the time line of the sound."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from minvae_pyro.audio.files import Sound, read_sound, write_sound
from minvae_pyro.errors import UserError
from minvae_pyro.media.survey import survey
from minvae_pyro.web.film import write_film

RATE = 16000


def picture(path: Path, codec: str, *, late: float = 0.0, b_frames: int = 0) -> Path:
    """A second of pictures, the first of which is shown after ``late`` seconds of an hour that is on the clock."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"bf": str(b_frames)} if b_frames else {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac" if path.suffix != ".webm" else "libopus", rate=48000, layout="mono")
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64), 8 * number, np.uint8), format="gray")
            frame.pts, frame.time_base = number + round(25 * late), Fraction(1, 25)
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
        size = sound.codec_context.frame_size or 960
        for first in range(0, 48000, size):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, size), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, first
            for piece in av.AudioResampler(format=sound.format, layout="mono", rate=48000).resample(frame):
                container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    return path


def copied(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]


@pytest.mark.parametrize(
    ("name", "codec", "options", "suffix"),
    [
        ("a.mp4", "mpeg4", {}, ".mp4"),
        ("a.mkv", "mpeg4", {}, ".mp4"),
        ("a.mov", "mpeg4", {"late": 0.4}, ".mp4"),
        ("a.mp4", "mpeg4", {"b_frames": 2}, ".mp4"),
        ("a.webm", "libvpx", {}, ".webm"),
    ],
)
def test_pictures_are_copied_and_shown_when_they_were(
    tmp_path: Path, name: str, codec: str, options: dict[str, float], suffix: str
) -> None:
    source = picture(tmp_path / name, codec, **options)
    tone = 0.5 * torch.sin(torch.arange(RATE) / RATE * 2 * torch.pi * 440)[None]
    film = write_film(tmp_path / "out.any", source, Sound(tone, RATE))
    assert film.suffix == suffix
    assert copied(film) == copied(source)
    np.testing.assert_allclose(survey(film).shown, survey(source).shown, atol=2e-3)
    heard = read_sound(film).resample(RATE).waveform[0, :RATE]
    # the tone is where it was, to the sample or two that a coder's delay is rounded by
    lag = torch.nn.functional.conv1d(heard[None, None], tone[0, 4000:8000][None, None])[0, 0, 3990:4011].argmax() - 10
    assert abs(int(lag)) <= 2


def test_channels_beyond_two_become_one(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.mp4", "mpeg4")
    for channels, kept in ((1, 1), (2, 2), (5, 1)):
        film = write_film(tmp_path / f"{channels}.mp4", source, Sound(torch.zeros(channels, 44100), 44100))
        assert read_sound(film).waveform.shape[0] == kept


def test_a_sound_has_no_pictures(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", Sound(torch.zeros(1, RATE), RATE))
    with pytest.raises(UserError, match="no pictures"):
        write_film(tmp_path / "out.mp4", tmp_path / "a.wav", Sound(torch.zeros(1, RATE), RATE))


def test_pictures_that_a_container_does_not_take_are_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("huffyuv", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv422p"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64), np.uint8), format="gray").reformat(format="yuv422p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="cannot be copied"):
        write_film(tmp_path / "out.mp4", tmp_path / "a.avi", Sound(torch.zeros(1, RATE), RATE))
