"""The track that is meant is used, and said."""

import pytest

from minvae_pyro.audio.files import read_sound
from minvae_pyro.errors import UserError
from minvae_pyro.media.survey import survey
from minvae_pyro.video.frames import read_frames

SECOND_SOUND = "of 2 sound tracks number 2 was used: --audio-track chooses another"
SECOND_VIDEO = "of 2 video tracks number 2 was used: --video-track chooses another"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("default", ["yny", "yyy", "ynn"])
def test_a_silent_first_track_gives_way(tmp_path, make_film, observe, suffix, default):
    path = make_film(tmp_path / f"a{suffix}", tracks="vsa", default=default)
    assert read_sound(path).notes == (SECOND_SOUND,)
    clicks, flashes, _ = observe(path)
    assert len(clicks) == len(flashes) == 2
    assert not read_sound(path, 1).waveform.abs().max() > 0.01
    assert read_sound(path, 1).notes == read_sound(path, 2).notes == ()


def test_the_default_of_two_that_sound(tmp_path, make_film):
    path = make_film(tmp_path / "a.mkv", tracks="vaa", default="yny")
    assert survey(path).sound == 2
    path = make_film(tmp_path / "b.mkv", tracks="vaa", default="yyn")
    assert survey(path).sound == 1


@pytest.mark.parametrize("default", ["nyy", "yyy", "yny"])
def test_a_black_first_video_gives_way(tmp_path, make_film, observe, default):
    path = make_film(tmp_path / "a.mkv", tracks="bva", default=default)
    assert survey(path).video_notes == (SECOND_VIDEO,)
    clicks, flashes, _ = observe(path)
    assert len(clicks) == len(flashes) == 2
    assert max(frame.picture.mean() for frame in read_frames(path, track=1)) < 60


def test_a_track_that_there_is_not(tmp_path, make_film):
    path = make_film(tmp_path / "a.mkv")
    with pytest.raises(UserError, match=r"a\.mkv has one sound track, counted from 1: there is no number 2"):
        read_sound(path, 2)
    with pytest.raises(UserError, match="there is no number 0"):
        list(read_frames(path, track=0))
    with pytest.raises(UserError, match="has no video track, counted from 1"):
        list(read_frames(make_film(tmp_path / "b.mkv", tracks="a"), track=1))


def test_surround_sound_keeps_its_channels(tmp_path, make_film):
    assert len(read_sound(make_film(tmp_path / "a.mkv", channels="5.1")).waveform) == 6
