from pathlib import Path

import pytest

from benchmarks.common import answer, fingerprint, markdown
from minvae_pyro import UserError


def test_a_fingerprint_tells_content_and_its_order(tmp_path: Path) -> None:
    one, other, same = (tmp_path / name for name in ("one", "other", "same"))
    one.write_text("a")
    same.write_text("a")
    other.write_text("b")
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)
    assert fingerprint(one, other) != fingerprint(other, one)


def test_numbers_stand_on_the_right() -> None:
    assert markdown(["a", "b", "c"], [["x", "y", "1"]]).splitlines() == [
        "| a | b | c |",
        "| --- | --- | --: |",
        "| x | y | 1 |",
    ]


def test_an_answer_is_printed_and_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> str:
        raise UserError("no such\nfile")

    assert answer(lambda: "done") == 0
    assert capsys.readouterr().out == "done\n"
    assert answer(fail) == 2
    assert capsys.readouterr().err == "error: no such file\n"
