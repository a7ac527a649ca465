"""A sample of what `python -m tests.fuzz.checkpoints SEED NUMBER` and its like try at length."""

from pathlib import Path

import pytest

from minvae_pyro.errors import UserError
from tests.fuzz import checkpoints, folders, kept
from tests.fuzz.outcome import FAULT, OK, REFUSED, count, judge


def test_a_sample_of_damaged_checkpoints_is_borne(tmp_path: Path) -> None:
    _, faults = count(checkpoints.damaged(12, tmp_path, 12), checkpoints.use, 60.0)
    assert faults == []


def test_a_sample_of_damaged_folders_is_borne(tmp_path: Path) -> None:
    _, faults = count(folders.damaged(12, tmp_path, 12), folders.use, 60.0)
    assert faults == []


def test_a_sample_of_damaged_results_is_borne(tmp_path: Path) -> None:
    _, faults = count(kept.damaged(12, tmp_path, 12), kept.use, 60.0)
    assert faults == []


def test_what_is_whole_is_used(tmp_path: Path) -> None:
    for name in ("min-vae", "a-dkf"):
        assert judge(checkpoints.use, checkpoints.checkpoint_file(name), 60.0).kind == OK
    assert judge(folders.use, folders.whole(tmp_path), 60.0).kind == OK


def _wait(path: Path) -> None:
    while True:
        pass


def _refuse(path: Path) -> None:
    raise UserError("not this")


@pytest.mark.parametrize(
    ("use", "kind", "told"),
    [
        (_wait, FAULT, "longer than"),
        (_refuse, REFUSED, "not this"),
        (lambda path: 1 / 0, FAULT, "ZeroDivisionError"),
        (lambda path: bytearray(1 << 40), FAULT, "MemoryError"),
        (lambda path: None, OK, ""),
    ],
)
def test_outcomes_are_told_apart(use: object, kind: str, told: str, tmp_path: Path) -> None:
    outcome = judge(use, tmp_path, 0.5)  # type: ignore[arg-type]
    assert outcome.kind == kind
    assert told in outcome.text
