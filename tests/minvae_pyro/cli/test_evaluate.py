import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.cli.main import main
from minvae_pyro.evaluation import experiment
from minvae_pyro.synthetic.talker import speak

QUICK = "{class_path: fast, init_args: {iterations: 3}}"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with two clean clips, two noises, a table of three mixtures of them, and a file of systems."""
    random = np.random.default_rng(0)
    for number in range(2):
        (tmp_path / "clean").mkdir(exist_ok=True)
        (tmp_path / "noise").mkdir(exist_ok=True)
        write_sound(tmp_path / "clean" / f"{number}.wav", Sound(speak(1.0, number)[None], 16000))
        soundfile.write(tmp_path / "noise" / f"kind{number}.wav", 0.1 * random.normal(size=16000), 16000)
    lines = [f"{n},clean/{n % 2}.wav,noise/kind{n % 2}.wav,0,{5 * n}" for n in range(3)]
    (tmp_path / "mixtures.csv").write_text("\n".join(["id,clip,noise,noise_offset_samples,snr_db", *lines]))
    (tmp_path / "systems.yaml").write_text(
        f"ours: {{checkpoint: min-vae, engine: {QUICK}}}\ndeaf: {{checkpoint: a-vae, engine: {QUICK}}}\n"
    )
    return tmp_path


def run(data: Path, *more: str) -> int:
    given = ["evaluate", "--mixtures", str(data / "mixtures.csv"), "--output", str(data / "out"), *more]
    return main(given)


def test_systems_are_compared(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, "--systems", str(data / "systems.yaml"), "--baseline", "deaf") == 0
    printed = capsys.readouterr()
    assert re.search(r"\| ours +\| +3 \| +[+-]\d+\.\d\d \(", printed.out)
    assert re.search(r"\| ours +\| +3 \| .* p = ", printed.out)
    assert printed.err == ""
    output = data / "out"
    table = pd.read_parquet(output / "scores.parquet")
    assert list(dict.fromkeys(table.system)) == ["input", "ours", "deaf"]
    summary = (output / "summary.md").read_text()
    for heading in ("Gains", "Scores", "Gains by signal-to-noise ratio of the input", "Gains by noise", "Against deaf"):
        assert f"\n## {heading}\n" in summary
    assert "Gains by talker" not in summary
    assert (output / "summary.tex").read_text().count(r"\bottomrule") == summary.count("\n## ")
    figures = sorted(file.name for file in (output / "figures").iterdir())
    assert figures == ["gain-over-mixtures.png", "gain-per-noise.png", "gain-per-snr.png"]
    assert all((output / "figures" / name).stat().st_size > 10_000 for name in figures)
    page = (output / "report.html").read_text()
    assert "sounds/ours/2.wav" in page
    assert (output / "sounds" / "ours" / "2.wav").exists()

    assert run(data, "--systems", str(data / "systems.yaml")) == 2
    assert "which is kept" in capsys.readouterr().err


def test_a_recipe_is_drawn_once_and_written(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--clean", str(data / "clean"), "--noise", str(data / "noise")]
    options = ["--snr", "0", "10", "--count", "5", "--seed", "3", "--output", str(data / "drawn"), "--no-sounds"]
    options += ["--systems", str(data / "systems.yaml")]
    assert main(["evaluate", *folders, *options]) == 0
    drawn = pd.read_csv(data / "drawn" / "mixtures.csv")
    assert len(drawn) == 5
    assert set(drawn.snr_db) == {0.0, 10.0}
    assert not (data / "drawn" / "sounds").exists()
    table = pd.read_parquet(data / "drawn" / "scores.parquet")
    assert list(table.id[:5]) == list(drawn.id)
    assert main(["evaluate", *folders, *options, "--overwrite"]) == 0
    assert pd.read_csv(data / "drawn" / "mixtures.csv").equals(drawn)
    assert capsys.readouterr().err == ""


def test_estimates_alone_are_scored(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = data / "theirs"
    theirs.mkdir()
    for number in range(2):
        clean, _ = soundfile.read(data / "clean" / f"{number}.wav")
        soundfile.write(theirs / f"{number}.wav", 0.5 * clean + 0.001, 16000)
    assert run(data, "--estimates", f"theirs={theirs}", "--baseline", "input") == 0
    printed = capsys.readouterr()
    assert re.search(r"\| theirs +\| +3 \| +\+\d+", printed.out)
    assert "2 of 3" in printed.out
    assert printed.err.startswith("note: 2 (theirs): there is no ")
    assert set(pd.read_parquet(data / "out" / "scores.parquet").system) == {"input", "theirs"}


def test_an_interrupted_run_says_where_it_goes_on(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "_side_by_side", interrupt)
    assert run(data, "--systems", str(data / "systems.yaml")) == 130
    assert capsys.readouterr().err.startswith("minvae evaluate: interrupted; what is finished is in ")
    monkeypatch.undo()
    assert run(data, "--systems", str(data / "systems.yaml")) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "out"], "either a table of mixtures"),
        (["--mixtures", "mixtures.csv", "--clean", "clean", "--noise", "noise", "--output", "out"], "either a table"),
        (["--clean", "clean", "--output", "out"], "both --clean and --noise"),
        (["--clean", "none", "--noise", "noise", "--output", "out"], "none is not a folder"),
        (["--clean", "clean", "--noise", "noise", "--noise-types", "x", "--output", "out"], "kind0, kind1"),
        (["--mixtures", "none.csv", "--output", "out"], "none.csv does not exist"),
        (["--mixtures", "mixtures.csv", "--output", "mixtures.csv"], "mixtures.csv is no folder"),
        (["--mixtures", "mixtures.csv", "--output", "out", "--system", "x=none"], "system x, checkpoint"),
        (["--clean", "clean", "--noise", "noise", "--output", "out", "--system", "x=none"], "system x, checkpoint"),
        (["--mixtures", "mixtures.csv", "--output", "out", "--systems", "none.yaml"], "none.yaml"),
        (["--mixtures", "mixtures.csv", "--output", "out", "--estimates", "x=none"], "no such folder"),
        (["--mixtures", "mixtures.csv", "--output", "out", "--estimates", "x=clean", "--estimates", "x=noise"], "own"),
        (["--mixtures", "mixtures.csv", "--output", "out", "--baseline", "x"], "choose input or one of min-vae"),
        (["--mixtures", "mixtures.csv", "--output", "out", "--workers", "0"], "at least 1 worker"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    data: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(data)
    assert main(["evaluate", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (data / "out").exists()


def test_tracks_of_clips_are_chosen_and_said(
    data: Path, make_film: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    clean = data / "films"
    clean.mkdir()
    make_film(clean / "a.mkv", tracks="vaa", clicks=(0.2, 0.9))
    recipe = ["evaluate", "--clean", str(clean), "--noise", str(data / "noise"), "--count", "2", "--snr", "5"]
    systems = ["--system", "a-vae", "--no-sounds"]
    assert main([*recipe, *systems, "--output", str(data / "usual")]) == 0
    told = capsys.readouterr().err
    assert "a.mkv: of 2 sound tracks number 1 was used: the column audio_track chooses another" in told
    assert main([*recipe, *systems, "--output", str(data / "chosen"), "--audio-track", "2", "--video-track", "1"]) == 0
    assert "tracks" not in capsys.readouterr().err
    assert set(pd.read_csv(data / "chosen" / "mixtures.csv")["audio_track"]) == {2}
    assert main([*recipe, *systems, "--output", str(data / "missing"), "--audio-track", "3"]) == 0
    assert "2 sound tracks, counted from 1: there is no number 3" in capsys.readouterr().err


def test_what_was_kept_and_is_damaged_is_done_again_and_said(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def table() -> pd.DataFrame:
        return pd.read_parquet(data / "out" / "scores.parquet").drop(columns=["elapsed", "real_time_factor"])

    system = ["--system", "a-vae", "--no-sounds", "--overwrite"]
    assert run(data, *system) == 0
    first = table()
    (job,) = (data / "out" / "jobs").glob("a-vae-*.json")
    kept = json.loads(job.read_text())
    kept["content"][0]["si_sdr"] = 99.0
    job.write_text(json.dumps(kept))
    capsys.readouterr()
    assert run(data, *system) == 0
    assert capsys.readouterr().err == f"note: {job} was damaged, or of another version: a-vae is done again\n"
    pd.testing.assert_frame_equal(table(), first)
    assert run(data, *system) == 0
    assert capsys.readouterr().err == ""


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from minvae_pyro.cli.evaluate import parser; parser().format_help(); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
