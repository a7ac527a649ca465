"""What is behind the button does what the command line that it shows does."""

import shlex
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from minvae_pyro.audio.files import read_sound, write_sound
from minvae_pyro.cli.main import main
from minvae_pyro.errors import UserError
from minvae_pyro.web import examples
from minvae_pyro.web.choices import USUAL, Choices
from minvae_pyro.web.job import Job, command, run
from minvae_pyro.web.limits import Limits

LIMITS = Limits(megabytes=5, seconds=5)


@pytest.fixture
def offered(quick: Path) -> Choices:
    parts = {"engine": {USUAL: ""}, "noise": {USUAL: "", "StationaryNoise": ""}, "guide": {USUAL: ""}}
    return Choices({"quick": str(quick)}, parts, {})


def test_a_film_becomes_films_sounds_and_figures(clip: Path, tmp_path: Path, offered: Choices) -> None:
    told: list[str] = []
    outcome = run(Job(clip, "quick", draws=2), tmp_path, offered, LIMITS, lambda what, done, total: told.append(what))
    assert list(dict.fromkeys(told)) == ["reading", "looking for the mouth", "enhancing", "drawing"]
    length = read_sound(clip).waveform.shape
    for sound, film in (outcome.before, outcome.after):
        assert read_sound(sound).waveform.shape == length
        assert film is not None
        with av.open(str(film)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 30
    # before is the recording, but for 16 bits
    torch.testing.assert_close(read_sound(outcome.before[0]).waveform, read_sound(clip).waveform, atol=1e-3, rtol=0)
    assert set(outcome.figures.spectrograms) == {"light", "dark"}
    assert outcome.figures.responsibility is not None
    assert "A mouth was seen in" in outcome.summary
    assert outcome.after[0].name == "my talk-enhanced.wav"


def test_a_sound_alone_has_no_film(clip: Path, tmp_path: Path, offered: Choices) -> None:
    write_sound(tmp_path / "sound.wav", read_sound(clip))
    outcome = run(Job(tmp_path / "sound.wav", "quick"), tmp_path, offered, LIMITS)
    assert outcome.before[1] is None
    assert outcome.after[1] is None


def test_the_command_line_does_the_same(
    clip: Path, tmp_path: Path, offered: Choices, quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run(Job(clip, "quick", noise="StationaryNoise", seed=3), tmp_path, offered, LIMITS)
    words = shlex.split(outcome.command)
    assert words[:3] == ["minvae", "enhance", "my talk.mp4"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my talk.mp4").write_bytes(clip.read_bytes())
    words[words.index("quick")] = str(quick)  # a name that this test alone has given
    assert main([*words[1:], "--output", "typed.wav"]) == 0
    typed = read_sound(tmp_path / "typed.wav").waveform
    assert torch.equal(typed, read_sound(outcome.after[0]).waveform)
    assert float(typed.abs().max()) > 0


def test_the_mouth_of_an_example_is_known_by_its_film(tmp_path: Path, offered: Choices) -> None:
    name = next(iter(examples.EXAMPLES))
    film = examples.example(name, tmp_path)
    copy = tmp_path / "uploaded.mp4"
    copy.write_bytes(film.read_bytes())
    mouths = examples.mouths_of(copy)
    assert mouths is not None
    assert np.load(mouths).shape == (90, 67, 67)
    (tmp_path / "out").mkdir()
    outcome = run(Job(copy, "quick"), tmp_path / "out", offered, LIMITS)
    assert "A mouth was seen in 100%" in outcome.summary
    assert f"--video {mouths.name}" in outcome.command


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"checkpoint": "/etc/passwd"}, "there is no checkpoint of that name"),
        ({"engine": "os.system"}, "there is no engine of that name"),
        ({"draws": 1000}, "0 to 20 draws"),
    ],
)
def test_what_is_not_offered_is_refused(
    clip: Path, tmp_path: Path, offered: Choices, change: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        run(Job(**{"recording": clip, "checkpoint": "quick", **change}), tmp_path, offered, LIMITS)  # type: ignore[arg-type]


def test_a_recording_that_was_deleted_meanwhile_is_asked_for_again(tmp_path: Path, offered: Choices) -> None:
    with pytest.raises(UserError, match=r"^gone\.mp4 is not here any more: give it again"):
        run(Job(tmp_path / "gone.mp4", "quick"), tmp_path, offered, LIMITS)


def test_a_visitor_reads_the_name_of_a_bad_file_not_its_path(tmp_path: Path, offered: Choices) -> None:
    bad = tmp_path / "notes.mp4"
    bad.write_text("no film at all")
    with pytest.raises(UserError, match=r"notes\.mp4") as caught:
        run(Job(bad, "quick"), tmp_path, offered, LIMITS)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["a b.mp4", "it's.mp4", "$(rm -r x).mp4", "`id`.wav", "-rf.mp4", "é;ls.mkv"])
def test_the_command_line_is_quoted(name: str) -> None:
    words = shlex.split(command(Job(Path("/somewhere") / name, "min-vae", noise="NMFNoise", draws=4)))
    assert words[2] == (f"./{name}" if name.startswith("-") else name)
    assert words[3:9] == ["--checkpoint", "min-vae", "--noise", "NMFNoise", "--draws", "4"]
