import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from minvae_pyro.audio.files import Sound, read_sound, write_sound
from minvae_pyro.enhancement.recording import read_recording
from minvae_pyro.errors import UserError
from minvae_pyro.synthetic.talker import SyntheticUtterance
from minvae_pyro.video.track import MouthTrack


def crops(frames: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (frames, 67, 67), generator=generator, dtype=torch.uint8)


def test_samples_become_channels() -> None:
    samples = np.linspace(-0.5, 0.5, 40)
    recording = read_recording(samples, sample_rate=8000)
    assert recording.sound.sample_rate == 8000
    torch.testing.assert_close(recording.sound.waveform, torch.from_numpy(samples[None]).float())
    assert recording.mouth is None
    assert recording.notes == ("no video was given: enhanced from the sound alone",)
    stereo = torch.zeros(2, 7, dtype=torch.float64)
    assert read_recording(stereo, sample_rate=8000).sound.waveform.shape == (2, 7)


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (torch.zeros(5), None, "give sample_rate"),
        (torch.zeros(5), 0, "give sample_rate"),
        (torch.zeros(5, dtype=torch.int16), 8000, "floating-point"),
        (torch.zeros(0), 8000, "floating-point"),
        (torch.zeros(1, 1, 5), 8000, "floating-point"),
        (torch.tensor([0.0, torch.nan, torch.inf]), 8000, "2 samples that are NaN or infinite"),
        (torch.zeros(8000, 2), 8000, "8000 channels and 2 samples .* transpose"),
        (torch.zeros(5), 8000.5, "a whole number"),
        (torch.zeros(5), float("nan"), "a whole number"),
        ([["a", "b"]], 8000, "holds no numbers"),
        (7, 8000, "floating-point"),
    ],
)
def test_samples_that_are_no_sound(samples: Tensor, rate: int | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recording(samples, sample_rate=rate)


def test_crops_of_either_kind_are_the_same_mouth() -> None:
    whole = read_recording(torch.zeros(9), sample_rate=8000, video=crops(), video_frame_rate=25).mouth
    scaled = read_recording(torch.zeros(9), sample_rate=8000, video=crops() / 255, video_frame_rate=25).mouth
    assert whole is not None
    assert scaled is not None
    assert torch.equal(whole.crops, crops())
    assert torch.equal(scaled.crops, crops())
    torch.testing.assert_close(whole.times, torch.tensor([0, 0.04, 0.08, 0.12, 0.16], dtype=torch.float64))
    assert whole.found.all()
    assert read_recording(torch.zeros(9), sample_rate=8000, video=whole).mouth is whole


@pytest.mark.parametrize(
    ("video", "rate", "message"),
    [
        (crops(), None, "give video_frame_rate"),
        (crops(), -1.0, "-1.0 frames per second"),
        (crops()[:, :66], 25.0, r"not \(5, 66, 67\)"),
        (crops()[:0], 25.0, r"not \(0, 67, 67\)"),
        (crops().float(), 25.0, "scale them"),
        (crops() / 255 * torch.nan, 25.0, "scale them"),
        (crops().long(), 25.0, "convert them"),
    ],
)
def test_crops_that_are_no_mouth(video: Tensor, rate: float | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recording(torch.zeros(9), sample_rate=8000, video=video, video_frame_rate=rate)


def test_lip_files_have_thirty_pictures_a_second_unless_given(tmp_path: Path) -> None:
    np.save(tmp_path / "lips.npy", crops().numpy())
    for rate, second in ((None, 1 / 30), (25, 1 / 25)):
        mouth = read_recording(
            torch.zeros(9), sample_rate=8000, video=tmp_path / "lips.npy", video_frame_rate=rate
        ).mouth
        assert mouth is not None
        assert torch.equal(mouth.crops, crops())
        assert float(mouth.times[1]) == pytest.approx(second)


def test_a_sound_file_is_used_without_video_and_says_so(tmp_path: Path, utterance: SyntheticUtterance) -> None:
    path = tmp_path / "talk.wav"
    write_sound(path, Sound(utterance.waveform[None], 16000))
    recording = read_recording(path)
    assert recording.mouth is None
    (note,) = recording.notes
    assert note.startswith("enhanced from the sound alone")
    assert "no video track" in note
    with pytest.raises(UserError, match="leave sample_rate out"):
        read_recording(path, sample_rate=16000)
    # a video that was asked for has to be one
    with pytest.raises(UserError, match="no video track"):
        read_recording(path, video=path)
    track = MouthTrack(utterance.crops, utterance.times, torch.ones(len(utterance.times)).bool())
    assert read_recording(path, video=track).mouth is track


RAMP = np.linspace(-0.5, 0.5, 40, dtype=np.float32)


@pytest.mark.parametrize(
    "samples",
    [
        RAMP[::-1][::-1][:, None].T,
        np.flip(np.flip(RAMP)),
        RAMP.astype(">f4"),
        RAMP.astype(np.longdouble),
        np.lib.stride_tricks.as_strided(np.repeat(RAMP, 3), (40,), (12,)),
        RAMP.tolist(),
        torch.from_numpy(RAMP.copy()).requires_grad_(),
    ],
)
def test_samples_may_lie_in_memory_as_they_like(samples: Any) -> None:
    waveform = read_recording(samples, sample_rate=8000).sound.waveform
    assert torch.equal(waveform, torch.from_numpy(RAMP.copy())[None])
    assert waveform.dtype == torch.float32


def test_samples_played_backwards_and_read_only() -> None:
    backwards, frozen = RAMP[::-1], RAMP.copy()
    frozen.setflags(write=False)
    reversed_sound = read_recording(backwards, sample_rate=8000).sound.waveform[0]
    assert torch.equal(reversed_sound, torch.from_numpy(RAMP.copy()).flip(0))
    assert torch.equal(read_recording(frozen, sample_rate=np.int64(8000)).sound.waveform[0], reversed_sound.flip(0))


def test_what_is_given_is_not_changed() -> None:
    samples = RAMP.copy()
    read_recording(samples, sample_rate=8000).sound.waveform.zero_()
    assert np.array_equal(samples, RAMP)


def test_an_opened_file_is_read_as_its_path(tmp_path: Path) -> None:
    path = tmp_path / "sound.flac"
    write_sound(path, Sound(torch.from_numpy(RAMP.copy())[None], 8000))
    expected = read_sound(path).waveform
    assert torch.equal(read_sound(io.BytesIO(path.read_bytes())).waveform, expected)
    assert torch.equal(read_sound(bytes(path)).waveform, expected)
    with path.open("rb") as opened:
        recording = read_recording(opened)
    assert torch.equal(recording.sound.waveform, expected)
    assert recording.notes == ("enhanced from the sound alone, for the opened file has no video track: give the file "
                               "that shows the talker",)  # fmt: skip


def test_an_opened_file_gives_sound_and_mouth(tmp_path: Path) -> None:
    lips = tmp_path / "lips.npy"
    np.save(lips, crops().numpy())
    opened = io.BytesIO(lips.read_bytes())
    mouth = read_recording(RAMP, sample_rate=8000, video=opened, video_frame_rate=25).mouth
    assert mouth is not None
    assert torch.equal(mouth.crops, crops())
    assert mouth.times[1] == 0.04


@pytest.mark.parametrize(
    ("opened", "message"),
    [
        (io.BytesIO(b"no sound at all"), "cannot read the opened file"),
        (io.BytesIO(), r"the opened file is empty \(0 bytes\)"),
        (io.StringIO("text"), "gives str, not bytes"),
    ],
)
def test_opened_files_that_hold_no_sound(opened: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recording(opened)


def test_closed_files_and_other_things(tmp_path: Path) -> None:
    closed = io.BytesIO(b"RIFF")
    closed.close()
    writing = (tmp_path / "new").open("wb")
    for opened in (closed, writing):
        with pytest.raises(UserError, match="cannot be read"):
            read_recording(opened)
    writing.close()
    with pytest.raises(UserError, match="zero byte"):
        read_recording("a\0b.wav")


def test_a_frame_rate_is_given_for_pictures_without_times_alone(tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(b"not looked at")
    for source, given in ((RAMP, video), (RAMP, bytes(video))):
        with pytest.raises(UserError, match=r"video\.mp4 says itself .* leave video_frame_rate out"):
            read_recording(source, sample_rate=8000, video=given, video_frame_rate=25.0)
    with pytest.raises(UserError, match="leave it out"):
        read_recording(video, video_frame_rate=25.0)
    track = MouthTrack(crops(), torch.arange(5).double(), torch.ones(5, dtype=torch.bool))
    with pytest.raises(UserError, match="times of its own"):
        read_recording(RAMP, sample_rate=8000, video=track, video_frame_rate=25.0)
    with pytest.raises(UserError, match="inf frames per second"):
        read_recording(RAMP, sample_rate=8000, video=crops(), video_frame_rate=float("inf"))


def test_tracks_are_chosen_and_said(tmp_path: Path, utterance: SyntheticUtterance) -> None:
    path = tmp_path / "talk.mkv"
    with av.open(str(path), "w") as container:
        film = container.add_stream("mpeg4", rate=25)
        film.width = film.height = 64
        film.pix_fmt = "yuv420p"
        sounds = [container.add_stream("flac", rate=16000, layout="mono") for _ in range(2)]
        for number in range(25):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64), 100 + 4 * number, np.uint8), format="gray")
            container.mux(film.encode(picture))
        for level, stream in enumerate(sounds, start=1):
            samples = np.full((1, 16000), 3000 * level, np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16000, 0
            container.mux(stream.encode(frame))
        for stream in (film, *sounds):
            container.mux(stream.encode(None))
    usual = read_recording(path)
    assert usual.notes == ("of 2 sound tracks number 1 was used: --audio-track chooses another",)
    assert usual.mouth is not None
    second = read_recording(path, audio_track=2)
    assert second.notes == ()
    torch.testing.assert_close(second.sound.waveform, 2 * usual.sound.waveform)
    with pytest.raises(UserError, match="one video track, counted from 1: there is no number 2"):
        read_recording(path, video_track=2)
    with pytest.raises(UserError, match="leave audio_track out"):
        read_recording(torch.zeros(9), sample_rate=8000, audio_track=1)
    with pytest.raises(UserError, match="leave video_track out"):
        read_recording(torch.zeros(9), sample_rate=8000, video=crops(), video_frame_rate=25, video_track=1)


def test_the_mouth_follows_the_clock_of_the_sound(tmp_path: Path) -> None:
    """A bare MP3 begins with 1105 samples of its coder: what is seen at once is heard after them."""
    path = tmp_path / "talk.mp3"
    with av.open(str(path), "w", options={"write_xing": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.full((1, 16000), 3000, np.int16), format="s16p", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    mouth = read_recording(path, video=crops(), video_frame_rate=25).mouth
    assert mouth is not None
    torch.testing.assert_close(mouth.times, torch.arange(5, dtype=torch.float64) / 25 + 1105 / 16000)
