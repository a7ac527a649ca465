"""Frames come in order, upright and at their time, from whatever can still be read."""

import itertools
import struct
from fractions import Fraction

import numpy as np
import pytest

from minvae_pyro.errors import UserError
from minvae_pyro.media.survey import survey
from minvae_pyro.video.frames import read_frames


def ramp(count, shape=(48, 64)):
    """Pictures whose brightness tells their number."""
    return [np.full(shape, 20 + 2 * number, np.uint8) for number in range(count)]


@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001), 30, 50])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_each_frame_is_shown_at_its_time(tmp_path, make_video, rate, suffix):
    frames = list(read_frames(make_video(tmp_path / f"v{suffix}", ramp(40), rate)))
    # Matroska counts in milliseconds.
    np.testing.assert_allclose([f.time for f in frames], np.arange(40) / float(rate), atol=6e-4)
    for number, frame in enumerate(frames):
        assert frame.picture.shape == (48, 64)
        assert abs(float(frame.picture.mean()) - (20 + 2 * number)) < 1.5


@pytest.mark.parametrize(("suffix", "start"), [(".ts", 0.0), (".mp4", 0.0), (".mkv", 0.4), (".ts", 0.4)])
def test_clock_starts_with_the_sound(tmp_path, make_video, suffix, start):
    """An MPEG transport stream begins at 1.4 s; a camera may start after the microphone."""
    path = make_video(tmp_path / f"v{suffix}", ramp(10), 25, start=start, sound=True, codec="mpeg2video")
    # FFmpeg may set the sound off earlier by the delay of its coder, up to 25 ms.
    assert next(iter(read_frames(path))).time == pytest.approx(start, abs=0.03)


def test_a_stream_without_times_runs_at_its_rate(tmp_path, make_video):
    path = make_video(tmp_path / "v.h264", ramp(30, (96, 128)), 25, codec="libx264")
    times = [frame.time for frame in read_frames(path)]
    np.testing.assert_allclose(times, np.arange(30) / 25, atol=1e-6)


@pytest.mark.parametrize("turn", [0, 90, -90, 180])
def test_a_turned_picture_is_put_upright(tmp_path, make_video, turn):
    picture = np.full((64, 96), 60, np.uint8)
    picture[:32, :48] = 200
    frame = next(iter(read_frames(make_video(tmp_path / "v.mp4", [picture], turn=turn))))
    expected = np.rot90(picture, turn // 90)
    assert frame.picture.shape == expected.shape
    np.testing.assert_allclose(frame.picture, expected, atol=12)


def test_oblong_pixels_are_made_square(tmp_path, make_video):
    path = make_video(tmp_path / "v.mkv", ramp(2), pixel_aspect=Fraction(2, 1))
    assert next(iter(read_frames(path))).picture.shape == (48, 128)


@pytest.mark.parametrize(("width", "height"), [(1, 1000), (1000, 1), (1, 5)])
def test_pixels_that_no_picture_has_are_taken_for_squares(tmp_path, make_video, width, height):
    path = make_video(tmp_path / "v.mp4", ramp(2), pixel_aspect=Fraction(2, 1))
    content = path.read_bytes()
    box = content.index(b"pasp") + 4
    path.write_bytes(content[:box] + struct.pack(">II", width, height) + content[box + 8 :])
    assert next(iter(read_frames(path))).picture.shape == (48, 64)
    said = f"its pixel aspect ratio, {Fraction(width, height)}, is no video's: pixels are taken for squares"
    assert survey(path).video_notes == (said,)


def test_pictures_that_are_larger_than_any_are_scaled_down(tmp_path, make_video):
    wide = np.linspace(0, 255, 16384).astype(np.uint8)[None].repeat(16, 0)
    (frame,) = read_frames(make_video(tmp_path / "v.mkv", [wide], codec="mjpeg"))
    assert frame.picture.shape == (8, 8192)
    np.testing.assert_allclose(frame.picture[4], wide[0, ::2], atol=8)


def test_the_readable_part_of_a_cut_file_is_used(tmp_path, make_video):
    path = make_video(tmp_path / "v.mkv", ramp(60), codec="mpeg1video")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames = list(read_frames(path))
    assert 15 < len(frames) < 45
    assert abs(float(frames[10].picture.mean()) - 40) < 1.5


def test_damage_in_the_middle_does_not_end_the_video(tmp_path, make_video):
    pictures = [np.random.default_rng(n).integers(0, 255, (48, 64), dtype=np.uint8) for n in range(50)]
    path = make_video(tmp_path / "v.mkv", pictures, codec="mjpeg")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    times = [frame.time for frame in read_frames(path)]
    assert len(times) >= 40
    assert times[-1] > 1.9
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


def missing(path, make_video):
    return "no such"


def folder(path, make_video):
    path.mkdir()
    return "folder"


def empty(path, make_video):
    path.write_bytes(b"")
    return "cannot read"


def text(path, make_video):
    path.write_text("this is no video\n" * 100)
    return "cannot read"


def head_only(path, make_video):
    make_video(path, ramp(10), codec="mpeg1video")
    path.write_bytes(path.read_bytes()[:300])
    return "cannot|no picture"


def zeroed(path, make_video):
    """The container is whole, what it holds is not."""
    make_video(path, ramp(10), codec="mjpeg")
    data = bytearray(path.read_bytes())
    cluster = data.index(b"\xff\xd8")
    data[cluster : len(data) - 200] = bytes(len(data) - 200 - cluster)
    path.write_bytes(data)
    return "no picture"


@pytest.mark.parametrize("damage", [missing, folder, empty, text, head_only, zeroed])
def test_bad_file_is_one_clear_line(tmp_path, make_video, damage):
    path = tmp_path / "v.mkv"
    message = damage(path, make_video)
    with pytest.raises(UserError, match=message) as caught:
        list(read_frames(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sound_without_a_video_track_is_refused(tmp_path, real_data):
    sound = next((real_data / "librispeech").rglob("*.flac"))
    with pytest.raises(UserError, match="no video track"):
        list(read_frames(sound))


def test_cover_art_is_no_video(tmp_path, make_video):
    path = make_video(tmp_path / "v.mp4", ramp(1), codec="mjpeg", sound=True, cover_art=True)
    with pytest.raises(UserError, match="no video track"):
        list(read_frames(path))


def test_real_clips(real_data):
    for name in ("grid/s1/train/bgbn8n.mkv", "grid/s26/bgbsza.mpg"):
        frames = list(read_frames(real_data / name))
        np.testing.assert_allclose([frame.time for frame in frames], np.arange(75) / 25, atol=1e-3)
        assert frames[0].picture.shape == (288, 360)
