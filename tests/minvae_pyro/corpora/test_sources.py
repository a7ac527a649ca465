from pathlib import Path

import pytest

from minvae_pyro.corpora.sources import find_clips
from minvae_pyro.errors import UserError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_grid_takes_every_video_below_and_names_the_talker_by_its_folder(tmp_path):
    source = touch(tmp_path / "grid", "s1/train/b.mkv", "s1/train/a.MPG", "s2/c.mp4", "s2/notes.txt", "s2/.d.mkv")
    clips = find_clips("grid", source)
    assert [(c.id, c.speaker) for c in clips] == [("s1_train_a", "s1"), ("s1_train_b", "s1"), ("s2_c", "s2")]
    assert all(c.sound == c.video and c.lips is None for c in clips)


def test_talker_is_known_when_the_source_is_a_split_itself(tmp_path):
    source = touch(tmp_path / "s1" / "train", "a.mkv")
    assert [c.speaker for c in find_clips("grid", source)] == ["s1"]


def test_ntcd_timit_takes_clean_speech_and_its_lips(tmp_path):
    source = touch(tmp_path, "08F/audio/sa1_s.wav", "08F/audio/sa1_n.wav", "08F/audio/sa1_x.wav", "08F/lips/sa1.mat")
    (clip,) = find_clips("ntcd-timit", source)
    assert (clip.id, clip.speaker) == ("08F_sa1", "08F")
    assert clip.sound == source / "08F/audio/sa1_s.wav"
    assert clip.lips == source / "08F/lips/sa1.mat"


@pytest.mark.parametrize(
    ("file", "talker"),
    [
        ("LibriSpeech/dev-clean/84/121123/84-121123-0001.flac", "84"),
        ("vox2/dev/id00012/21Uxsk56VDQ/00001.m4a", "id00012"),
        ("GRID/s1/video/mpg_6000/bbaf2n.mpg", "s1"),
        ("speechocean762/WAVE/SPEAKER0001/000010011.WAV", "SPEAKER0001"),
        ("mine/ann/1.mp4", "ann"),
        # chapters of two talkers, one file renamed: the folder is all there is
        ("mine/84/121123/first.flac", "121123"),
    ],
)
def test_the_corpus_says_who_talks(tmp_path, file, talker):
    (clip,) = find_clips("folder", touch(tmp_path, file))
    assert clip.speaker == talker


def test_folder_pairs_sound_and_video_of_one_name(tmp_path):
    source = touch(tmp_path, "x/talk.wav", "x/talk.mp4", "x/alone.flac", "y/film.mov", "y/readme.md")
    clips = {c.id: c for c in find_clips("folder", source)}
    assert set(clips) == {"x_talk", "x_alone", "y_film"}
    assert clips["x_talk"].sound.suffix == ".wav"
    assert clips["x_talk"].video == source / "x/talk.mp4"
    assert clips["x_alone"].video is None
    assert clips["y_film"].sound == clips["y_film"].video


def test_ids_stay_unique(tmp_path):
    source = touch(tmp_path, "a.wav", "a.flac", "b/c.wav", "b_c.wav", "b_c_wav.wav")
    ids = [clip.id for clip in find_clips("folder", source)]
    assert len(set(ids)) == len(ids) == 5


@pytest.mark.parametrize("kind", ["grid", "ntcd-timit", "folder"])
def test_a_folder_without_recordings_is_refused(tmp_path, kind):
    touch(tmp_path, "notes.txt")
    with pytest.raises(UserError, match="holds no"):
        find_clips(kind, tmp_path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="nowhere is not a folder"):
        find_clips("grid", tmp_path / "nowhere")
