import os
from pathlib import Path

import pytest

from minvae_pyro.enhancement.inputs import find_items
from minvae_pyro.errors import UserError


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A tree of names; what is in the files does not matter here."""
    for name in (
        "a.wav",
        "b.MP4",
        "notes.txt",
        ".hidden.wav",
        "s1/a.flac",
        "s1/deep/c.mkv",
        ".git/d.wav",
        "s1/lips.npy",
    ):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "corpus"


def tree(items: list, below: Path) -> dict[str, str]:
    return {item.source.name: item.output.relative_to(below).as_posix() for item in items}


def test_a_folder_becomes_the_same_tree(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert tree(find_items([corpus], out), out) == {
        "a.wav": "a.wav",
        "b.MP4": "b.wav",
        "a.flac": "s1/a.wav",
        "c.mkv": "s1/deep/c.wav",
    }
    # as a shell expands corpus/*, without what has another suffix
    several = find_items([corpus / "a.wav", corpus / "b.MP4", corpus / "s1"], out)
    assert [item.output for item in several] == [item.output for item in find_items([corpus], out)]


def test_a_file_that_is_named_is_taken_whatever_its_suffix(corpus: Path, tmp_path: Path) -> None:
    (item,) = find_items([corpus / "notes.txt"], tmp_path)
    assert item.output == tmp_path / "notes.wav"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("flac", {"a.wav": "a.flac", "b.MP4": "b.flac", "a.flac": "s1/a.flac", "c.mkv": "s1/deep/c.flac"}),
        ("video", {"a.wav": "a.wav", "b.MP4": "b.mp4", "a.flac": "s1/a.wav", "c.mkv": "s1/deep/c.mkv"}),
        ("mov", {"a.wav": "a.wav", "b.MP4": "b.mov", "a.flac": "s1/a.wav", "c.mkv": "s1/deep/c.mov"}),
    ],
)
def test_films_stay_films_where_that_is_asked_for(
    corpus: Path, tmp_path: Path, form: str, expected: dict[str, str]
) -> None:
    assert tree(find_items([corpus], tmp_path / "out", form=form), tmp_path / "out") == expected
    (item,) = find_items([corpus / "b.MP4"], tmp_path / "out", form="video")
    assert item.picture == item.source
    (corpus / "e.webm").touch()
    assert tree(find_items([corpus / "e.webm"], tmp_path / "o", form="video"), tmp_path / "o") == {"e.webm": "e.mkv"}


def test_the_output_may_lie_within_the_input(corpus: Path) -> None:
    out = corpus / "s1" / "out"
    out.mkdir()
    (out / "old.wav").touch()
    assert "old.wav" not in tree(find_items([corpus], out), out)
    with pytest.raises(UserError, match="the folder of the recordings itself"):
        find_items([corpus], corpus)
    with pytest.raises(UserError, match="is one of the recordings"):
        find_items([corpus / "s1" / "a.flac"], corpus / "s1", form="flac")


def test_two_that_would_become_one_file_are_refused(corpus: Path, tmp_path: Path) -> None:
    (corpus / "a.mp3").touch()
    with pytest.raises(UserError, match=r"a\.(mp3|wav) and .*a\.(mp3|wav) would both become .*out/a\.wav"):
        find_items([corpus], tmp_path / "out")
    other = tmp_path / "other" / "s1"
    other.mkdir(parents=True)
    (other / "a.wav").touch()
    with pytest.raises(UserError, match="would both become"):
        find_items([corpus / "s1", other], tmp_path / "out")


def test_what_is_named_twice_is_done_once(corpus: Path, tmp_path: Path) -> None:
    again = Path(os.path.relpath(corpus / "a.wav"))
    assert len(find_items([corpus / "a.wav", again, corpus / "a.wav"], tmp_path / "out")) == 1


def test_links_lead_on_but_not_in_circles(corpus: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "far.wav").touch()
    (corpus / "link").symlink_to(elsewhere)
    (corpus / "s1" / "up").symlink_to(corpus)
    found = tree(find_items([corpus], tmp_path / "out"), tmp_path / "out")
    assert found["far.wav"] == "link/far.wav"
    assert len(found) == 5


def test_mouths_in_a_tree_of_their_own(corpus: Path, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    (faces / "s1").mkdir(parents=True)
    (faces / "s1" / "a.mp4").touch()
    items = {item.source.name: item for item in find_items([corpus], tmp_path / "out", form="video", video=faces)}
    assert items["a.flac"].video == faces / "s1" / "a.mp4"
    assert items["a.flac"].output == tmp_path / "out" / "s1" / "a.mp4"
    assert items["a.wav"].video is None
    assert items["a.wav"].output.suffix == ".wav"
    assert items["b.MP4"].video is None
    one = tmp_path / "face.mov"
    one.touch()
    assert {item.video for item in find_items([corpus], tmp_path / "out", video=one)} == {one}


def test_a_video_beside_its_sound_shows_its_mouth(tmp_path: Path) -> None:
    for name in ("one.wav", "one.mp4", "two.mp4"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    items = find_items([tmp_path / "in"], tmp_path / "out", video=tmp_path / "in")
    assert [(item.source.name, item.picture.name) for item in items] == [("one.wav", "one.mp4"), ("two.mp4", "two.mp4")]


def test_nothing_to_enhance(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sound or video file in"):
        find_items([tmp_path], tmp_path / "out")
    with pytest.raises(UserError, match="no file or folder"):
        find_items([tmp_path / "missing"], tmp_path / "out")
    with pytest.raises(UserError, match="there is no format mp3"):
        find_items([tmp_path], tmp_path / "out", form="mp3")
    with pytest.raises(UserError, match="give a video, lips"):
        find_items([tmp_path], tmp_path / "out", video=tmp_path / "missing")
