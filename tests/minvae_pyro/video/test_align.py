"""A sound frame gets the mouth of its own time, or none."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from minvae_pyro.video.align import align_mouth, on_frames
from minvae_pyro.video.mouth import read_mouth
from minvae_pyro.video.track import MouthTrack


def clock(times, found=None):
    """Mouths whose brightness is the time: 100 grey levels a second."""
    times = torch.as_tensor(times, dtype=torch.float64)
    found = torch.ones(len(times), dtype=torch.bool) if found is None else torch.as_tensor(found)
    grey = (20 + 100 * times).round().to(torch.uint8) * found
    crops = grey[:, None, None].expand(-1, 67, 67)
    return MouthTrack(crops, times, found)


def read_clock(mouth):
    assert (mouth == mouth[:, :1, :1]).all()
    return (mouth[:, 0, 0].double() - 20) / 100


@given(
    rate=st.sampled_from([12.5, 25.0, 30000 / 1001, 30.0, 50.0, 60.0]),
    hop=st.sampled_from([256, 533]),
    start=st.floats(0, 0.5),
    seconds=st.floats(0.2, 2.0),
)
def test_each_sound_frame_shows_its_own_time(rate, hop, start, seconds):
    video = start + torch.arange(max(2, int(rate * seconds)), dtype=torch.float64) / rate
    video = video[video < 2.3]
    sound = torch.arange(int(2.3 * 16000 / hop)) * hop / 16000
    mouth, visible = align_mouth(clock(video), sound)
    assert mouth.shape == (len(sound), 67, 67)
    assert mouth.dtype == torch.uint8
    near = (sound >= video[0] - 1.499 / rate) & (sound <= video[-1] + 1.499 / rate)
    far = (sound < video[0] - 1.501 / rate) | (sound > video[-1] + 1.501 / rate)
    assert visible[near].all()
    assert not visible[far].any()
    assert (mouth[~visible] == 0).all()
    # Between two video frames the blend is exact but for rounding to grey levels, twice.
    expected = sound.double().clamp(video[0], video[-1])[visible]
    torch.testing.assert_close(read_clock(mouth[visible]), expected, atol=0.0101, rtol=0)


@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001), 30, 50])
@pytest.mark.parametrize("seconds", [1.0, 2.0, 3.0])
def test_from_file_to_sound_frames(tmp_path, make_video, rate, seconds):
    """Videos of all rates, shorter than two seconds of sound, as long, and longer."""
    count = round(seconds * rate)
    pictures = [np.full((96, 96), round(20 + 70 * number / float(rate)), np.uint8) for number in range(count)]
    track = read_mouth(make_video(tmp_path / "v.mp4", pictures, rate))
    sound = torch.arange(60) * 533 / 16000
    mouth, visible = align_mouth(track, sound)
    end = (count - 1) / float(rate)
    assert visible.tolist() == [time <= end + 1.5 / float(rate) for time in sound.tolist()]
    grey = mouth[visible].double().mean(dim=(1, 2))
    # The coder adds up to one grey level to the rounding.
    torch.testing.assert_close(grey, 20 + 70 * sound[visible].double().clamp(max=end), atol=2.0, rtol=0)


def test_motion_is_even_from_25_to_30_frames():
    """Nearest frames would repeat every fifth picture; blended ones all differ by the same step."""
    mouth, _ = align_mouth(clock(torch.arange(50) / 25), torch.arange(55) / 30)
    steps = read_clock(mouth).diff()
    assert steps.min() > 0.02
    assert steps.max() < 0.047


def test_frames_without_a_face_have_no_mouth():
    times = torch.arange(50) / 25
    found = (times < 0.8) | (times >= 1.4)
    sound = torch.arange(120) / 60
    mouth, visible = align_mouth(clock(times, found), sound)
    # The last face is at 0.76 s, the next at 1.40 s; each reaches one and a half periods, 0.06 s.
    assert visible.tolist() == [time < 0.8201 or time > 1.3399 for time in sound.double().tolist()]
    assert (mouth[~visible] == 0).all()
    # Black crops of frames without a face are never blended in.
    expected = torch.where(sound < 1, sound.clamp(max=0.76), sound.clamp(1.4, 1.96)).double()
    torch.testing.assert_close(read_clock(mouth[visible]), expected[visible], atol=0.0101, rtol=0)


@pytest.mark.parametrize("slow", [8.0, 5.0, 2.6])
def test_a_frame_is_shown_until_the_next_one(slow):
    """From 25 frames a second to few: none is lost, and each time is shown up to its rounding."""
    times = torch.cat([torch.arange(100) / 25, 4.0 + torch.arange(round(4 * slow)) / slow])
    sound = torch.arange(0, 480) * 256 / 16000
    mouth, visible = align_mouth(clock(times / 4), sound / 4)
    assert visible.all()
    mouth, visible = align_mouth(clock(times), sound[sound < 2.3])
    torch.testing.assert_close(read_clock(mouth), sound[sound < 2.3].double(), atol=0.0101, rtol=0)


def test_a_pause_of_the_camera_shows_no_mouth():
    times = torch.cat([torch.arange(50) / 50, 1.5 + torch.arange(10) / 25])
    sound = torch.arange(0, 1.86, 0.01, dtype=torch.float64)
    _, visible = align_mouth(clock(times), sound)
    # the last before it is at 0.98 s, the first after it at 1.5 s; each reaches one and a half of about its own periods
    assert visible[sound < 1.0].all()
    assert not visible[(sound > 1.06) & (sound < 1.42)].any()
    assert visible[sound > 1.48].all()


def test_one_missing_frame_is_blended_over():
    times = torch.arange(50) / 25
    found = torch.ones(50, dtype=torch.bool)
    found[20] = False
    mouth, visible = align_mouth(clock(times, found), torch.tensor([0.8]))
    assert visible.all()
    assert abs(read_clock(mouth).item() - 0.8) < 0.0101


def test_a_single_picture_lasts_a_moment():
    mouth, visible = align_mouth(clock([0.5]), torch.tensor([0.40, 0.45, 0.5, 0.55, 0.60]))
    assert visible.tolist() == [False, True, True, True, False]
    assert (mouth[visible] == 70).all()


@pytest.mark.parametrize("track", [clock([]), clock([0.0, 0.04], [False, False])], ids=["empty", "no face"])
def test_no_mouth_at_all(track):
    mouth, visible = align_mouth(track, torch.arange(10) / 30)
    assert not visible.any()
    assert (mouth == 0).all()


def test_no_sound_frames():
    mouth, visible = align_mouth(clock([0.0, 0.04]), torch.zeros(0))
    assert mouth.shape == (0, 67, 67)
    assert visible.shape == (0,)


def test_pictures_keep_their_detail():
    """On a video frame's own time the very picture comes back; half way, the mean of two."""
    crops = torch.randint(0, 256, (4, 67, 67), dtype=torch.uint8)
    track = MouthTrack(crops, torch.arange(4, dtype=torch.float64) / 25, torch.ones(4, dtype=torch.bool))
    mouth, visible = align_mouth(track, torch.tensor([0.0, 0.04, 0.06, 0.12], dtype=torch.float64))
    assert visible.all()
    torch.testing.assert_close(mouth[[0, 1, 3]], crops[[0, 1, 3]], atol=1, rtol=0)
    middle = (crops[1].double() + crops[2].double()) / 2
    assert (mouth[2].double() - middle).abs().max() <= 0.5 + 1e-6


def test_pictures_made_when_asked_for_are_those_made_at_once() -> None:
    generator = torch.Generator().manual_seed(0)
    crops = (255 * torch.rand(20, 67, 67, generator=generator)).to(torch.uint8)
    track = MouthTrack(crops, torch.arange(20) / 25, torch.rand(20, generator=generator) > 0.2)
    times = torch.arange(60) / 62.5
    every, found = align_mouth(track, times.clamp(max=0.9))
    lazily = on_frames(track, times, 0.9)
    assert lazily.found.equal(found)
    assert lazily.crops.equal(every)
    for frames in (slice(7, 31), torch.tensor([3, 40, 59]), found):
        some = lazily.select(frames)
        assert some.crops.equal(every[frames])
        assert some.times.equal(times[frames])
        assert some.found.equal(found[frames])
