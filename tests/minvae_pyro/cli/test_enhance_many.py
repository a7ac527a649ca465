import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from minvae_pyro.cli.main import main
from minvae_pyro.media.film import check_film

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _known(known_inference: Any) -> None:
    """What is inferred does not matter here."""


@pytest.fixture
def run(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `minvae enhance`; returns exit code, and what it says on both streams."""

    def enhance(*arguments: str | Path) -> tuple[int, str, str]:
        few = ["--checkpoint", str(tiny_checkpoint), "--workers", "0"]
        code = main(["enhance", *map(str, arguments), *few])
        return code, *capsys.readouterr()

    return enhance


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    noise = 0.1 * np.random.default_rng(0).standard_normal(8000)
    for name in ("a.wav", "deep/b.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, noise, 16000)
    film(folder / "deep" / "talk.mkv")
    return folder


def film(path: Path) -> Path:
    """Half a second of grey pictures with noise."""
    with av.open(str(path), "w") as container:
        pictures: Any = container.add_stream("mpeg4", 25)
        pictures.width, pictures.height, pictures.pix_fmt = 320, 240, "yuv420p"
        voices: Any = container.add_stream("pcm_s16le" if path.suffix == ".mkv" else "aac", 16000, layout="mono")
        for _ in range(12):
            picture = np.full((240, 320, 3), 100, dtype=np.uint8)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(pictures.encode())
        samples = (3000 * np.random.default_rng(0).standard_normal((1, 8000))).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate = 16000
        container.mux(voices.encode(frame))
        container.mux(voices.encode())
    return path


def test_a_folder_becomes_a_folder(corpus: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    code, said, told = run(corpus, "--output", out)
    assert code == 0, told
    assert said.startswith(f"{out}: 3 enhanced (1.5 s of sound, ")
    assert said.endswith(f"0 failed; see {out / 'enhanced.csv'}\n")
    assert told == ""
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.wav")) == [
        "a.wav",
        "deep/b.wav",
        "deep/talk.wav",
    ]
    code, said, told = run(corpus, "--output", out, "--resume", "--json")
    summary = json.loads(said)
    assert (code, summary["enhanced"], summary["kept"], summary["failed"]) == (0, 0, 3, 0)
    code, said, told = run(corpus, "--output", out)
    assert (code, said, told.count("\n")) == (2, "", 1)
    assert "a.wav exists, and 2 more" in told
    code, said, told = run(corpus, "--output", out, "--resume", "--mix", "0.5")
    assert code == 2
    assert "3 of 3 outputs were made with other settings (mix 1.0, now 0.5)" in told


def test_one_bad_file_stops_nothing(corpus: Path, tmp_path: Path, run: Run) -> None:
    (corpus / "bad.wav").write_bytes(b"RIFF and nothing")
    (corpus / "empty.mp4").touch()
    code, said, told = run(corpus, "--output", tmp_path / "out")
    assert code == 1
    assert "3 enhanced" in said
    assert "2 failed; see" in said
    assert told.count("\n") == 2
    assert f"failed: {corpus / 'empty.mp4'}: " in told
    with open(tmp_path / "out" / "enhanced.csv", newline="") as file:
        errors = {Path(row["input"]).name: row["error"] for row in csv.DictReader(file) if row["error"]}
    assert set(errors) == {"bad.wav", "empty.mp4"}


def test_films_become_films(corpus: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    code, _, told = run(corpus, "--output", out, "--format", "video", "--keep-original")
    assert code == 0, told
    with av.open(str(out / "deep" / "talk.mkv")) as written:
        assert [stream.codec_context.name for stream in written.streams.audio] == ["flac", "pcm_s16le"]
        assert len(written.streams.video) == 1
    assert (out / "a.wav").is_file()
    code, _, told = run(corpus / "deep" / "talk.mkv", "--output", tmp_path / "one.mp4", "--keep-original")
    assert code == 0, told
    check_film("other.mp4", tmp_path / "one.mp4")
    with av.open(str(tmp_path / "one.mp4")) as written:
        assert [stream.codec_context.name for stream in written.streams.audio] == ["aac", "aac"]
    # the pictures of one file with the sound of another
    code, _, told = run(
        corpus / "a.wav", "--video", corpus / "deep" / "talk.mkv", "--output", tmp_path / "b.mov", "--keep-original"
    )
    assert code == 0, told
    with av.open(str(tmp_path / "b.mov")) as written:
        assert [stream.codec_context.name for stream in written.streams.audio] == ["aac", "aac"]


def test_a_single_file_goes_into_a_folder_that_exists(corpus: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "out").mkdir()
    assert run(corpus / "a.wav", "--output", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "a.wav").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["in"], "in is a folder: give --output FOLDER"),
        (["in/a.wav", "in/deep/b.wav"], "there are several recordings: give --output FOLDER"),
        (["in", "--output", "out.wav"], "would be one file for several recordings"),
        (["in", "missing.wav", "--output", "out"], "there is no file or folder"),
        (["in", "--output", "in"], "is the folder of the recordings itself"),
        (["in", "--output", "out", "--report", "r"], "--report is for a single recording"),
        (["in", "--output", "out", "--draws", "2"], "--draws is for a single recording"),
        (["in", "--output", "out", "--keep-original"], "give --format video"),
        (["in", "--output", "out", "--limit", "-3"], "limited to -3.0 dB"),
        (["in/a.wav", "--output", "a.mp4"], "needs pictures"),
        (["in/a.wav", "--output", "b.wav", "--keep-original"], "is for films"),
        (["in/deep/talk.mkv", "--output", "in/deep/talk.mkv", "--overwrite"], "is the recording itself"),
        (["in/a.wav", "--output", "b.wav", "--resume"], "--resume is for many recordings"),
    ],
)
def test_what_makes_no_sense_is_told_at_once(
    corpus: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, out, told = run(*words)
    assert (code, out, told.count("\n")) == (2, "", 1)
    assert said in told
    assert sorted(tmp_path.rglob("*")) == before


def test_inputs_may_stand_in_a_file(corpus: Path, tmp_path: Path, run: Run) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"input: {corpus / 'a.wav'}\noutput: {tmp_path / 'one.flac'}\n")
    assert run("--config", settings)[0] == 0
    assert (tmp_path / "one.flac").is_file()
    settings.write_text(f"input: {corpus / 'a.wav'}\nmore: [{corpus / 'deep'}]\noutput: {tmp_path / 'out'}\n")
    assert run("--config", settings)[0] == 0
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.wav"))
    assert found == ["a.wav", "deep/b.wav", "deep/talk.wav"]
