"""Whatever happened to the clocks of a file, its clicks are heard when its flashes are seen."""

import resource

import numpy as np
import pytest

from minvae_pyro.audio.files import read_sound
from minvae_pyro.media.survey import survey

WRAP = 2**33 / 90000  # seconds, after which the clock of an MPEG transport stream starts anew
NEAR = 0.04  # seconds, a picture


def agree(clicks, flashes, count):
    assert len(clicks) == len(flashes) == count
    np.testing.assert_allclose(flashes, clicks, atol=NEAR)


@pytest.mark.parametrize("suffix", [".ts", ".mpg", ".mkv", ".mp4", ".mov", ".avi", ".webm"])
def test_nothing_happened(tmp_path, make_film, observe, suffix):
    path = make_film(tmp_path / f"a{suffix}")
    clicks, flashes, seconds = observe(path)
    agree(clicks, flashes, 2)
    assert seconds == pytest.approx(2.0, abs=0.08)
    found = survey(path)
    assert found.sound_notes == found.video_notes == ()


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
@pytest.mark.parametrize("parts", [2, 3])
def test_joined_files(tmp_path, make_film, observe, suffix, parts):
    part = make_film(tmp_path / f"part{suffix}")
    path = tmp_path / f"whole{suffix}"
    path.write_bytes(part.read_bytes() * parts)
    clicks, flashes, seconds = observe(path)
    agree(clicks, flashes, 2 * parts)
    assert seconds == pytest.approx(2.0 * parts, abs=0.08 * parts)


@pytest.mark.parametrize("start", [0.0, 1.5, 1.9, 4.5, 36000.0, WRAP - 2.5])
def test_joined_files_whose_clocks_have_nothing_in_common(tmp_path, make_film, observe, start):
    """The second part starts before, just before, or long after the first ends."""
    first = make_film(tmp_path / "first.ts")
    second = make_film(tmp_path / "second.ts", picture_stamp=lambda t: t + start, sound_stamp=lambda t: t + start)
    for name, parts in {"on.ts": (first, second), "back.ts": (second, first)}.items():
        path = tmp_path / name
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        clicks, flashes, seconds = observe(path)
        agree(clicks, flashes, 4)
        assert seconds == pytest.approx(4.0, abs=0.16)


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
@pytest.mark.parametrize("leap", [0.5, 3.0, 36000.0])
def test_a_clock_that_leaps(tmp_path, make_film, observe, suffix, leap):
    def stamp(time):
        return time + leap * (time >= 1.0)

    path = make_film(tmp_path / f"a{suffix}", picture_stamp=stamp, sound_stamp=stamp)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clicks, flashes, seconds = observe(path)
    agree(clicks, flashes, 2)
    assert seconds == pytest.approx(2.0, abs=0.08)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_a_clock_that_wraps(tmp_path, make_film, observe):
    def stamp(time):
        return (time + WRAP - 1.0 - 1.4) % WRAP

    path = make_film(tmp_path / "a.ts", picture_stamp=stamp, sound_stamp=stamp)
    clicks, flashes, seconds = observe(path)
    agree(clicks, flashes, 2)
    assert seconds == pytest.approx(2.0, abs=0.08)


@pytest.mark.parametrize("speed", [0.97, 0.98, 1.02])
def test_a_sound_clock_that_drifts_is_followed_to_both_ends(tmp_path, make_film, speed):
    """The stamps say that its samples were heard faster or slower than they are counted."""
    sound = read_sound(make_film(tmp_path / "a.mkv", seconds=12.0, sound_stamp=lambda t: t * speed))
    assert sound.seconds == pytest.approx(12.0, abs=0.1)
    heard = np.array([0.0, 0.5, 6.0, 12.0 * speed])
    np.testing.assert_allclose(sound.clock.to_sound(heard), heard / speed, atol=NEAR / 2)


def test_sound_alone_with_a_gap_while_the_film_runs_on(tmp_path, make_film, observe):
    path = make_film(tmp_path / "a.mkv", clicks=(0.4,), sound_stamp=lambda t: t + 5.0 * (t >= 1.0), seconds=2.0)
    # nothing bears out a gap of five seconds, but it is short enough to be believed
    assert read_sound(path).seconds == pytest.approx(7.0, abs=0.1)
    path = make_film(tmp_path / "b.mkv", sound_stamp=lambda t: t + 500.0 * (t >= 1.0))
    clicks, flashes, seconds = observe(path)
    agree(clicks, flashes, 2)
    assert seconds == pytest.approx(2.0, abs=0.1)


def test_one_stray_time_stamp_moves_nothing(tmp_path, make_film, observe):
    for stray in (-30.0, 30.0, 36000.0):
        path = make_film(tmp_path / "a.mkv", sound_stamp=lambda t, d=stray: max(0.0, t + d * (0.78 < t < 0.83)))
        clicks, flashes, seconds = observe(path)
        agree(clicks, flashes, 2)
        assert seconds == pytest.approx(2.0, abs=0.15)


def test_pictures_of_any_rate_are_shown_when_they_were_taken(tmp_path, make_film, observe):
    shown = np.concatenate([np.arange(0, 0.8, 1 / 30), np.arange(0.8, 2.0, 0.2)])
    clicks, flashes, _ = observe(make_film(tmp_path / "a.mkv", shown=shown))
    agree(clicks, flashes, 2)


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("apart", [0.0, 0.002])
def test_pictures_that_come_in_bursts_are_spread(tmp_path, make_film, size, apart):
    from minvae_pyro.video.frames import read_frames

    taken = np.arange(60) / 25

    def stamp(time):
        number = round(time * 25)
        return (number - number % size) / 25 + apart * (number % size)

    path = make_film(tmp_path / "a.mkv", shown=taken, seconds=2.4, picture_stamp=stamp)
    np.testing.assert_allclose([frame.time for frame in read_frames(path)], taken, atol=0.012)


def test_the_same_file_is_gone_through_once(tmp_path, make_film):
    path = make_film(tmp_path / "a.mkv")
    assert survey(path) is survey(path)
    make_film(path, seconds=1.0)
    assert survey(path).end == pytest.approx(1.0, abs=0.1)
