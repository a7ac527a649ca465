from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from minvae_pyro.audio.files import Sound, write_sound
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
