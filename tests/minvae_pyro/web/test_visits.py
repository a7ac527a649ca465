"""Nobody finds the folder of another, and nothing stays."""

from pathlib import Path

from minvae_pyro.web.visits import Visits


def test_a_new_job_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    visits = Visits(tmp_path)
    first, other = visits.folder("anna"), visits.folder("bert")
    (first / "speech.wav").write_bytes(b"speech")
    second = visits.folder("anna")
    assert not first.exists()
    assert second.is_dir()
    assert other.is_dir()
    assert len({first.name, second.name, other.name}) == 3
    assert len(second.name) > 20


def test_who_leaves_leaves_nothing(tmp_path: Path) -> None:
    visits = Visits(tmp_path)
    (visits.folder("anna") / "speech.wav").write_bytes(b"speech")
    visits.leave("anna")
    visits.leave("anna")
    assert list(tmp_path.iterdir()) == []


def test_what_is_old_is_swept(tmp_path: Path) -> None:
    visits = Visits(tmp_path)
    folder = visits.folder("anna")
    visits.sweep(60.0)
    assert folder.is_dir()
    visits.sweep(-1.0)
    assert not folder.exists()
