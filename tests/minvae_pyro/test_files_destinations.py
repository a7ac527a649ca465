from pathlib import Path

import pytest

from minvae_pyro.errors import UserError
from minvae_pyro.files import check_file, check_folder, make_folder


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
