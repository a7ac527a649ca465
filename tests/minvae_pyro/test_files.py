import os
from pathlib import Path

import pytest

from minvae_pyro.errors import UserError
from minvae_pyro.files import check_file, check_folder, make_folder, write_atomic


def test_writes_with_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "a.bin", b"abc")
    assert path.read_bytes() == b"abc"
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_existing_file_is_kept_unless_asked(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "a.bin", b"old")
    with pytest.raises(UserError, match="exists and is kept"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert write_atomic(path, b"new", overwrite=True).read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["missing/a.bin", "file/a.bin", "folder"])
def test_an_impossible_place_is_one_clear_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=f"cannot write .*{name}") as caught:
        write_atomic(tmp_path / name, b"abc", overwrite=True)
    assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_atomic(tmp_path / "a.bin", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="No space left"):
        write_atomic(path, b"new", overwrite=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_free_name_is_fine_and_nothing_is_made(tmp_path: Path) -> None:
    assert check_file(tmp_path / "a.wav") == tmp_path / "a.wav"
    assert check_folder(tmp_path / "deep" / "down", ("a",)) == tmp_path / "deep" / "down"
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_kept_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("mine")
    with pytest.raises(UserError, match=r"a\.wav exists.*--overwrite"):
        check_file(tmp_path / "a.wav")
    with pytest.raises(UserError, match=r"a\.wav, which is kept.*--overwrite"):
        check_folder(tmp_path, ("a.wav", "b.wav"))
    check_file(tmp_path / "a.wav", overwrite=True)
    check_folder(tmp_path, ("a.wav",), overwrite=True)
    check_folder(tmp_path, ("b.wav",))
    assert (tmp_path / "a.wav").read_text() == "mine"


def test_places_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a folder"):
        check_file(tmp_path, overwrite=True)
    with pytest.raises(UserError, match="does not exist"):
        check_file(tmp_path / "missing" / "a.wav")
    with pytest.raises(UserError, match="is no folder"):
        check_folder(tmp_path / "file" / "below", ())


def test_a_folder_is_tried_not_asked() -> None:
    # its permissions allow all to an administrator, yet no file can be made there
    with pytest.raises(UserError, match="cannot write into /proc"):
        check_file("/proc/a.wav")
    with pytest.raises(UserError, match="cannot write into /proc"):
        check_folder("/proc/report", ())
    with pytest.raises(UserError, match="cannot make the folder"):
        make_folder(Path("/proc/report"))
