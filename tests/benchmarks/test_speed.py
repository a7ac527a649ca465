from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import speed
from benchmarks.speed import ALONE, TOGETHER, main, of_speed


def rows_of(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_speed_is_told_on_the_clock_and_in_processor_time() -> None:
    times = pd.DataFrame(
        {
            "work": [TOGETHER, ALONE, ALONE],
            "elapsed": [0.1, 0.2, 0.4],
            "processor": [0.05, 0.1, 0.2],
        }
    )
    rows = rows_of(of_speed({"min-vae": times}))
    assert rows[0] == ["seconds of work per second of sound", "min-vae"]
    assert rows[2:6] == [
        [TOGETHER, "0.10"],
        ["processor time of it", "0.05"],
        [ALONE, "0.30 (0.20..0.40)"],
        ["processor time of it", "0.15 (0.10..0.20)"],
    ]
    assert rows[-1] == ["processor time of it", "-"]


def test_a_system_is_timed_once(
    tmp_path: Path,
    table: Path,
    handmade: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["--mixtures", str(table), "--output", str(tmp_path / "out")]
    given += ["--systems", str(handmade(tmp_path / "small.safetensors"))]
    assert main(given) == 0
    text = capsys.readouterr().out
    assert (tmp_path / "out" / "speed.md").read_text() in text
    rows = {row[0]: row[1] for row in rows_of(text) if len(row) == 2}
    assert float(rows[TOGETHER]) > 0
    assert float(rows[ALONE].partition(" ")[0]) > 0
    assert rows["file to file"] == "-"  # there is no video

    def never(*_: object) -> None:
        raise AssertionError("timed again")

    monkeypatch.setattr(speed, "enhance_batch", never)
    assert main(given) == 0
    assert capsys.readouterr().out == text
    assert main([*given[:-1], "nobody"]) == 2
    assert "there is no checkpoint nobody" in capsys.readouterr().err
