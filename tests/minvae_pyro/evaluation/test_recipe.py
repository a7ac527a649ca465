import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, strategies as st

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.mixtures import Mixture, read_mixtures
from minvae_pyro.evaluation.recipe import mix_recipe, write_mixtures


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Five clips of two talkers, a hum of 24 s, a hiss of 1 s, and two files of the type crowd."""
    top = tmp_path_factory.mktemp("recipe")
    random = np.random.default_rng(0)
    lengths = {
        **{f"clean/bob/{n}.wav": 0.2 for n in range(3)},
        **{f"clean/eve/test/{n}.flac": 0.2 for n in range(2)},
        **{"noise/hum.wav": 24.0, "noise/hiss.wav": 1.0, "noise/crowd/a.wav": 0.5, "noise/crowd/b.wav": 0.5},
    }
    for name, seconds in lengths.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(top / name, 0.1 * random.normal(size=round(8000 * seconds)), 8000)
    return top / "clean", top / "noise"


@given(count=st.integers(1, 60), seed=st.integers(0, 9))
def test_clips_and_conditions_occur_as_often_as_each_other(folders, count, seed):
    mixtures = mix_recipe(*folders, [-5, 0.0], count, seed=seed)
    assert len({mixture.id for mixture in mixtures}) == len(mixtures) == count
    conditions = Counter((mixture.noise_name, mixture.snr_db) for mixture in mixtures)
    for counted, there in ((conditions, 6), (Counter(mixture.clip for mixture in mixtures), 5)):
        assert len(counted) == min(there, count)
        assert max(counted.values()) - (min(counted.values()) if len(counted) == there else 1) <= 1
    for mixture in mixtures:
        # a long noise begins ten seconds before its end at the latest
        room = {"hum": 14, "hiss": 1, "crowd": 0.5}[mixture.noise_name] * 16000
        assert 0 <= mixture.noise_offset_samples < room


def test_a_seed_decides_everything(folders):
    assert mix_recipe(*folders, [0], 20, seed=1) == mix_recipe(*folders, [0], 20, seed=1)
    assert mix_recipe(*folders, [0], 20, seed=1) != mix_recipe(*folders, [0], 20, seed=2)


def test_noises_begin_anywhere(folders):
    starts = [mixture.noise_offset_samples for mixture in mix_recipe(*folders, [0], 60, noise_types=["hum"])]
    assert min(starts) < 16000
    assert max(starts) > 13 * 16000


def test_noise_types_are_chosen(folders):
    mixtures = mix_recipe(*folders, [0], 12, noise_types=["crowd", "hiss"])
    assert {mixture.noise_name for mixture in mixtures} == {"crowd", "hiss"}
    assert {mixture.noise.name for mixture in mixtures} == {"a.wav", "b.wav", "hiss.wav"}
    with pytest.raises(UserError, match=r"no noise of the type rain.*crowd, hiss, hum"):
        mix_recipe(*folders, [0], 12, noise_types=["rain"])


@pytest.mark.parametrize(("snrs", "count"), [([], 3), ([math.nan], 3), ([0.0], 0)])
def test_a_recipe_without_sense_is_refused(folders, snrs, count):
    with pytest.raises(UserError, match="count above 0 and ratios"):
        mix_recipe(*folders, snrs, count)


@pytest.mark.parametrize("which", [0, 1])
def test_missing_and_empty_folders_are_told(folders, tmp_path, which):
    for folder, message in ((tmp_path / "none", "not a folder"), (tmp_path, "holds no sound")):
        given_folders = list(folders)
        given_folders[which] = folder
        with pytest.raises(UserError, match=message):
            mix_recipe(*given_folders, [0], 3)


def test_what_was_mixed_is_read_again(folders, tmp_path):
    mixtures = mix_recipe(*folders, [-2.5, 0], 7)
    path = write_mixtures(tmp_path / "mixtures.csv", mixtures)
    again = read_mixtures(path)
    assert [m.id for m in again] == [m.id for m in mixtures]
    for one, other in zip(mixtures, again, strict=True):
        assert other.talker in {"bob", "eve"}
        assert (one.noise_name, one.snr_db, one.talker) == (other.noise_name, other.snr_db, other.talker)
        assert all((a == b).all() for a, b in zip(one.build(), other.build(), strict=True))
    before = path.stat().st_mtime_ns
    write_mixtures(path, mixtures)
    assert path.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="exists and is kept"):
        write_mixtures(path, mixtures[1:])
    write_mixtures(path, mixtures[1:], overwrite=True)
    assert len(read_mixtures(path)) == 6


def test_recorded_mixtures_are_written_too(folders, tmp_path):
    clips = sorted(folders[0].rglob("*.wav"))
    mixture = Mixture("x", clips[0], Path("cafe"), 0, math.nan, noisy=clips[1], video=clips[2])
    again = read_mixtures(write_mixtures(tmp_path / "mixtures.csv", [mixture]))[0]
    assert again.noisy is not None
    assert again.video is not None
    assert (again.noise_name, again.noisy.resolve(), again.video.resolve()) == ("cafe", clips[1], clips[2])
    assert math.isnan(again.snr_db)
    with pytest.raises(ValueError, match="table of their own"):
        write_mixtures(tmp_path / "both.csv", [mixture, *mix_recipe(*folders, [0], 1)])


def test_tracks_of_a_recipe_are_written_where_they_are_chosen(folders, tmp_path):
    chosen = mix_recipe(*folders, [0], 2, audio_track=2, video_track=1)
    path = write_mixtures(tmp_path / "chosen.csv", chosen)
    assert "noisy_track" not in path.read_text()
    assert [(m.audio_track, m.noisy_track, m.video_track) for m in read_mixtures(path)] == [(2, None, 1)] * 2
    assert "track" not in write_mixtures(tmp_path / "usual.csv", mix_recipe(*folders, [0], 2)).read_text()


def test_a_sound_beside_its_video_keeps_it(folders, tmp_path):
    clip = tmp_path / "clean" / "one.wav"
    clip.parent.mkdir()
    clip.write_bytes(next(folders[0].rglob("*.wav")).read_bytes())
    clip.with_suffix(".mp4").touch()
    (mixture,) = mix_recipe(clip.parent, folders[1], [0], 1)
    assert (mixture.clip, mixture.video) == (clip, clip.with_suffix(".mp4"))
