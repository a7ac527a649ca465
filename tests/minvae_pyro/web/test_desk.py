"""What the page does at each event, without a browser."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="needs gradio"),
    # Gradio and what it stands on warn of each other's futures when they are imported
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

CHOICES = ("quick.safetensors", "as the checkpoint says", "as the checkpoint says", "as the checkpoint says", 0, 0)


@pytest.fixture
def desk(tmp_path: Path, quick: Path) -> Any:
    from minvae_pyro.web.choices import choices
    from minvae_pyro.web.desk import Desk
    from minvae_pyro.web.limits import Limits
    from minvae_pyro.web.visits import Visits

    for name in ("visits", "examples"):
        (tmp_path / name).mkdir()
    return Desk(choices([str(quick)]), Limits(5, 5), Visits(tmp_path / "visits"), tmp_path / "examples")


def ask(desk: Any, video: Path | None, sound: Path | None = None) -> str:
    said: str = desk.enhance(
        video and str(video), sound and str(sound), *CHOICES, SimpleNamespace(session_hash="anna"), lambda *a, **b: None
    )
    return said


def test_a_result_lies_with_the_visitor(desk: Any, clip: Path) -> None:
    said = ask(desk, clip)
    assert said.count("<video") == 2
    (folder,) = desk.visits.root.iterdir()
    assert folder.name in said
    desk.leave(SimpleNamespace(session_hash="anna"))
    assert not folder.exists()


def test_what_is_wrong_is_said_in_the_page(desk: Any, tmp_path: Path) -> None:
    assert "There is no recording" in ask(desk, None)
    bad = tmp_path / "notes.wav"
    bad.write_text("no sound")
    said = ask(desk, None, bad)
    assert 'role="alert">cannot read notes.wav' in said
    assert str(tmp_path) not in said


def test_a_fault_of_ours_is_no_secret_of_ours(
    desk: Any, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("at /home/somebody")

    monkeypatch.setattr("minvae_pyro.web.desk.run", fails)
    said = ask(desk, clip)
    assert "somebody" not in said
    assert "its log says what" in said
    assert "RuntimeError: at /home/somebody" in capsys.readouterr().err


def test_each_box_says_what_is_chosen(desk: Any) -> None:
    said = [update["info"] for update in desk.explain("min-vae", "svi", "NMFNoise", "SmoothedGuide")]
    assert said[0].startswith("ConditionalMinVAE with SharedGuide")
    assert said[1].startswith("Alternates pyro.infer.SVI")
    assert said[2].startswith("Low-rank noise")
    assert "Gauss-Markov" in said[3]
