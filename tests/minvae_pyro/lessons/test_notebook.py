"""Players and pictures appear in a notebook, and only there."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure

from minvae_pyro.audio.files import read_sound
from minvae_pyro.lessons import grid_clip, notebook, play, show
from minvae_pyro.lessons.recordings import CREDIT


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """A kernel that notes what is displayed."""
    found: list[tuple[str, object]] = []
    parts = SimpleNamespace(
        display=lambda *things: found.extend(things),
        Markdown=lambda text: ("text", text),
        Image=lambda filename: ("image", filename),
        Audio=lambda data, rate: ("audio", (data, rate)),
    )
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=parts))
    monkeypatch.setitem(sys.modules, "IPython.display", parts)
    return found


def test_a_script_stays_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    play({"noisy": torch.zeros(8)})
    assert capsys.readouterr().out == ""
    show(Figure(), "03_name")
    assert capsys.readouterr().out == "figure: examples-output/03_name.png\n"
    assert (tmp_path / "examples-output" / "03_name.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("shell", [None, SimpleNamespace()], ids=["imported only", "in a terminal"])
def test_ipython_alone_is_no_notebook(shell: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert not notebook.in_notebook()


def test_a_notebook_gets_players_with_names_and_rates(shown: list) -> None:
    sound = torch.linspace(-1, 1, 6)
    play({"noisy": sound, "clean": sound[None].requires_grad_()}, 8000)
    assert [kind for kind, _ in shown] == ["text", "audio"] * 2
    assert [value for kind, value in shown if kind == "text"] == ["**noisy**", "**clean**"]
    for data, rate in (value for kind, value in shown if kind == "audio"):
        assert rate == 8000
        assert data.shape == (6,)
        assert torch.equal(torch.from_numpy(data), sound)


def test_a_notebook_gets_the_figure_that_was_saved(
    shown: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    show(Figure(), "04_name")
    assert shown == [("image", "examples-output/04_name.png")]
    assert (tmp_path / shown[0][1]).is_file()


def test_two_channels_are_refused_in_a_script_too() -> None:
    with pytest.raises(ValueError, match=r"enhanced is of shape \(2, 8\)"):
        play({"enhanced": torch.zeros(2, 8)})


def test_the_clip_is_small_whole_and_credited() -> None:
    clip = grid_clip()
    assert clip.stat().st_size < 200_000
    sound = read_sound(clip)
    assert sound.sample_rate == 16000
    assert sound.seconds == pytest.approx(2.98, abs=0.05)
    credits = (clip.parent / "CREDITS.md").read_text()
    assert clip.name in credits
    for text in (credits, CREDIT):
        assert "3625687" in text
        assert "CC-BY 4.0" in text
