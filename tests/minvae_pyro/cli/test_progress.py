import io

import pytest
from rich.console import Console

from minvae_pyro.cli import progress as module
from minvae_pyro.cli.progress import bar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time by which progress is told; what stands in it is now."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_there_are_lines_now_and_then(clock: list[float], capsys: pytest.CaptureFixture) -> None:
    with bar("loading", sound=True) as report:
        report("0 of 9 recordings", 0, 500)
        clock[0] += 9
        report("1 of 9 recordings", 10, 500)
        assert capsys.readouterr().err == ""
        clock[0] += 11
        report("2 of 9 recordings", 100, 500)
        clock[0] += 30
        report("3 of 9 recordings", 300, 500)
        written = capsys.readouterr()
        assert written.out == ""
        assert written.err == "2 of 9 recordings, 100 of 500 s of sound, 5.0 s of sound a second, 1:20 left\n"
        clock[0] += 3600
        report("4 of 9 recordings", 400, 500)
    text = capsys.readouterr().err
    assert "\r" not in text
    assert text.endswith(", 0.1 s of sound a second, 15:12 left\n")


def test_a_step_without_a_number_is_named(clock: list[float], capsys: pytest.CaptureFixture) -> None:
    with bar("loading") as report:
        clock[0] += 20
        report("looking for the mouth", 0, 0)
        clock[0] += 61
        report("looking for the mouth", 10, 100)
        clock[0] += 61
        report("looking for the mouth", 60, 100)
        clock[0] += 7200
        report("enhancing", 0, 8)
        clock[0] += 7200
        report("enhancing", 4, 8)
    assert capsys.readouterr().err.splitlines() == [
        "looking for the mouth",
        "looking for the mouth, 10 of 100",
        "looking for the mouth, 60 of 100, 0:49 left",
        "enhancing, 0 of 8",
        "enhancing, 4 of 8, 2:00:00 left",
    ]


def test_a_terminal_gets_a_bar_with_a_rate(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(module, "Console", lambda **_: Console(file=screen, force_terminal=True, width=120))
    with bar("loading", sound=True) as report:
        report("0 of 9 recordings", 0, 500)
        clock[0] += 20
        report("2 of 9 recordings", 100, 500)
    shown = screen.getvalue()
    assert "2 of 9 recordings" in shown
    assert "5.0 s of sound a second, 1:20 left" in shown
