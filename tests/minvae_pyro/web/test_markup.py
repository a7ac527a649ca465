"""What visitors and files say is text on the page, never markup."""

from pathlib import Path

from minvae_pyro.web.figures import Figures
from minvae_pyro.web.job import Outcome
from minvae_pyro.web.markup import complaint, result

EVIL = "<img src=x onerror=alert(1)>\"'"


def test_a_complaint_is_one_line_of_text() -> None:
    said = complaint(f"cannot read {EVIL}:\nconvert it")
    assert "<img" not in said
    assert "\n" not in said
    assert "&lt;img src=x" in said


def test_names_and_notes_are_escaped() -> None:
    sound, film = Path(f"/t/{EVIL}.wav"), Path(f"/t/{EVIL}.mp4")
    figures = Figures({"light": Path("/t/l.png"), "dark": Path("/t/d.png")}, None)
    said = result(Outcome((sound, film), (sound, film), figures, EVIL, [EVIL], f"minvae enhance {EVIL}"))
    assert "<img src=x" not in said
    assert said.count("<video") == 2
    assert "Download video" in said
    assert 'src="gradio_api/file=/t/%3Cimg%20src' in said


def test_a_sound_has_players_of_sounds() -> None:
    figures = Figures({"light": Path("/t/l.png"), "dark": Path("/t/d.png")}, None)
    said = result(Outcome((Path("/t/a.wav"), None), (Path("/t/b.wav"), None), figures, "", [], ""))
    assert said.count("<audio") == 2
    assert "Download video" not in said
