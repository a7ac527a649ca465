import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
import torch

import minvae_pyro.enhancement.filter
from minvae_pyro.audio.files import Sound, read_sound, write_sound
from minvae_pyro.cli.main import main
from minvae_pyro.synthetic.talker import SyntheticUtterance

Capture = pytest.CaptureFixture[str]
KEYS = {
    "output",
    "seconds",
    "elapsed",
    "real_time_factor",
    "engine",
    "noise",
    "guide",
    "checkpoint",
    "mean_audio_responsibility",
    "faces_found",
}


@pytest.fixture
def talk(tmp_path: Path, utterance: SyntheticUtterance) -> Path:
    """A noisy recording, stereo at 22.05 kHz, with the lips beside it."""
    noise = 0.05 * torch.randn(len(utterance.waveform), generator=torch.Generator().manual_seed(0))
    noisy = Sound((utterance.waveform + noise)[None].repeat(2, 1), 16000)
    write_sound(tmp_path / "talk.wav", noisy.resample(22050))
    np.save(tmp_path / "lips.npy", utterance.crops.numpy())
    return tmp_path / "talk.wav"


def test_speech_lands_beside_the_recording(talk: Path, tiny_checkpoint: Path, capsys: Capture) -> None:
    assert main(["enhance", str(talk), "--checkpoint", str(tiny_checkpoint)]) == 0
    before, after = read_sound(talk), read_sound(talk.with_name("talk-enhanced.wav"))
    assert after.sample_rate == 22050
    assert after.waveform.shape == before.waveform.shape
    assert float(after.waveform.square().mean()) < float(before.waveform.square().mean())
    written = capsys.readouterr()
    assert "talk-enhanced.wav: 1.0 s of speech in" in written.out
    assert "enhanced from the sound alone" in written.err
    assert sorted(path.name for path in talk.parent.iterdir()) == ["lips.npy", "talk-enhanced.wav", "talk.wav"]


def test_json_is_one_object_and_nothing_else(talk: Path, tiny_checkpoint: Path, capsys: Capture) -> None:
    output, report = talk.parent / "clean.flac", talk.parent / "a" / "report"
    arguments = ["enhance", str(talk), "--video", str(talk.parent / "lips.npy"), "--json", "--seed", "3"]
    arguments += ["--checkpoint", str(tiny_checkpoint), "--engine", "vem", "--start", "audio"]
    arguments += ["--output", str(output), "--report", str(report)]
    assert main(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert set(summary) == KEYS
    assert summary["output"] == str(output)
    assert soundfile.info(output).format == "FLAC"
    assert summary["seconds"] == pytest.approx(1, abs=1e-3)
    assert summary["elapsed"] > 0
    assert summary["real_time_factor"] == pytest.approx(summary["elapsed"] / summary["seconds"], rel=0.01)
    assert summary["engine"] == "vem"
    assert summary["checkpoint"] == str(tiny_checkpoint)
    assert 0 <= summary["mean_audio_responsibility"] <= 1
    # 25 pictures at 30 a second
    assert summary["faces_found"] == pytest.approx(25 / 30, abs=0.05)
    for name in ("figure.png", "contact-sheet.png"):
        picture = cv2.imread(str(report / name))
        assert picture is not None
        assert picture.std() > 5


def test_without_a_mouth_there_is_no_contact_sheet(
    talk: Path, tiny_checkpoint: Path, known_inference: Any, capsys: Capture
) -> None:
    report = talk.parent / "report"
    assert main(["enhance", str(talk), "--checkpoint", str(tiny_checkpoint), "--report", str(report)]) == 0
    assert [path.name for path in report.iterdir()] == ["figure.png"]


def test_ctrl_c_says_one_line_and_leaves_nothing(
    talk: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def interrupted(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(minvae_pyro.enhancement.filter, "infer", interrupted)
    before = sorted(talk.parent.iterdir())
    arguments = ["enhance", str(talk), "--checkpoint", str(tiny_checkpoint), "--report", str(talk.parent / "r")]
    assert main(arguments) == 130
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err == "minvae enhance: interrupted\n"
    assert sorted(talk.parent.iterdir()) == before


def test_the_loudest_recording_does_not_clip(tmp_path: Path, tiny_checkpoint: Path, known_inference: Any) -> None:
    square = torch.sign(torch.sin(torch.arange(24000) * 0.05) + 1e-3)
    soundfile.write(tmp_path / "loud.wav", square.numpy(), 48000, "FLOAT")
    assert main(["enhance", str(tmp_path / "loud.wav"), "--checkpoint", str(tiny_checkpoint)]) == 0
    speech = read_sound(tmp_path / "loud-enhanced.wav").waveform
    # band-limited, a square wave overshoots by 9 %: it is scaled, not cut
    assert float(speech.abs().max()) <= 1
    assert int((speech.abs() > 0.9999).sum()) < 5


def test_draws_are_written_beside_the_speech(talk: Path, tiny_checkpoint: Path, capsys: Capture) -> None:
    words = ["enhance", str(talk), "--checkpoint", str(tiny_checkpoint), "--engine.iterations", "2", "--draws", "2"]
    assert main([*words, "--report", str(talk.parent / "report")]) == 0, capsys.readouterr().err
    files = [talk.with_name(f"talk-enhanced{name}.wav") for name in ("", "-draw-1", "-draw-2")]
    speech, *draws = (read_sound(file).waveform for file in files)
    assert [one.shape for one in draws] == [speech.shape] * 2
    assert not torch.allclose(draws[0], draws[1])
    assert (talk.parent / "report" / "figure.png").is_file()
    files[0].unlink()
    assert main(words) == 2
    assert "talk-enhanced-draw-1.wav" in capsys.readouterr().err
    assert not files[0].exists()
    assert main([*words, "--draws", "-1"]) == 2
    assert "give --draws 0 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--guide", "pyro.infer.autoguide.AutoNormal", "--guide.init_scale", "0.2"],
        ["--guide", "AutoDelta"],
        ["--engine", "svi", "--engine.elbo", "RenyiELBO", "--engine.elbo.num_particles", "3"],
        ["--engine", "svi", "--engine.optimiser", "ClippedAdam", "--engine.optimiser.clip_norm", "5"],
        ["--engine", "svi", "--engine.optimiser.lr", "1e-3"],
    ],
)
def test_parts_of_pyro_are_named(talk: Path, tiny_checkpoint: Path, capsys: Capture, words: list[str]) -> None:
    few = ["--checkpoint", str(tiny_checkpoint), "--json"]
    words = [*words, "--engine.iterations", "2"]
    assert main(["enhance", str(talk), *few, *words]) == 0, capsys.readouterr().err
    said = json.loads(capsys.readouterr().out)
    assert words[1].rpartition(".")[2] in (said["guide"], said["engine"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--guide", "AutoNormal", "--guide.rank", "3"], "AutoNormal has no argument 'rank'"),
        (["--engine", "svi", "--engine.elbo", "NoELBO"], "there is no bound 'NoELBO'"),
        (["--engine", "svi", "--engine.optimiser.width", "3"], "Adam has no argument 'width'"),
    ],
)
def test_parts_of_pyro_that_cannot_be_made(talk: Path, capsys: Capture, words: list[str], said: str) -> None:
    assert main(["enhance", str(talk), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_guide_of_pyro_is_explained(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["enhance", "--guide.help", "AutoNormal"])
    assert "--guide.init_scale" in capsys.readouterr().out
