"""Every bad input gives the right result, or one clear line and exit code 2, and leaves nothing behind."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from minvae_pyro.audio.files import read_sound
from minvae_pyro.cli.main import main

RATE = 16000
Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def _known(known_inference: Any) -> None:
    """What is inferred does not matter here."""


@pytest.fixture
def refused(tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run `minvae enhance` on what it must refuse; returns the one line that it says."""

    def run(*arguments: str | Path, checkpoint: str | Path = tiny_checkpoint) -> str:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        code = main(["enhance", *map(str, arguments), "--checkpoint", str(checkpoint)])
        written = capsys.readouterr()
        assert code == 2
        assert written.out == ""
        assert written.err.count("\n") == 1
        assert written.err.startswith("minvae enhance: ")
        assert "Traceback" not in written.err
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        return written.err

    return run


@pytest.fixture
def accepted(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[Any, str]]:
    """Run `minvae enhance` on what it must cope with; returns its summary, and what it remarks."""

    def run(*arguments: str | Path) -> tuple[Any, str]:
        assert main(["enhance", *map(str, arguments), "--checkpoint", str(tiny_checkpoint), "--json"]) == 0
        written = capsys.readouterr()
        return json.loads(written.out), written.err

    return run


def speech(seconds: float, rate: int = RATE) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(max(1, round(seconds * rate)))


def sound(path: Path, seconds: float = 0.3, rate: int = RATE) -> Path:
    soundfile.write(path, speech(seconds, rate), rate)
    return path


def video(path: Path, seconds: float = 0.4, *, voice: bool = True, size: int = 320) -> Path:
    """A film of grey noise, where nobody is seen, with a sound track or without."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        pictures: Any = container.add_stream("mjpeg", 25)  # every picture costs the same number of bytes
        pictures.width = pictures.height = size
        pictures.pix_fmt = "yuvj420p"
        voices: Any = container.add_stream("pcm_s16le", RATE) if voice else None
        for _ in range(round(25 * seconds)):
            picture = rng.integers(100, 140, (size, size, 3), dtype=np.uint8)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(pictures.encode())
        if voice:
            samples = (32767 * speech(seconds)).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate = RATE
            container.mux(voices.encode(frame))
            container.mux(voices.encode())
    return path


def test_missing_file(tmp_path: Path, refused: Refused) -> None:
    assert "there is no file" in refused(tmp_path / "missing.mp4")
    assert "no such video" in refused(sound(tmp_path / "a.wav"), "--video", tmp_path / "missing.mp4")
    assert "no such lip file" in refused(tmp_path / "a.wav", "--video", tmp_path / "missing.mat")


def test_folder_and_empty_file(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "empty.mp4").touch()
    assert "is a folder" in refused(tmp_path / "folder.wav")
    assert "is empty" in refused(tmp_path / "empty.mp4")


def test_no_sound_track(tmp_path: Path, refused: Refused) -> None:
    assert "has no sound track" in refused(video(tmp_path / "mute.mkv", voice=False))


def test_no_video_and_none_given(tmp_path: Path, accepted: Callable[..., tuple[Any, str]]) -> None:
    summary, remarks = accepted(sound(tmp_path / "a.wav"))
    assert "enhanced from the sound alone" in remarks
    assert summary["faces_found"] == 0


def test_no_face_at_all(tmp_path: Path, accepted: Callable[..., tuple[Any, str]]) -> None:
    summary, remarks = accepted(video(tmp_path / "wall.mkv"))
    assert "no face was found: enhanced from the sound alone" in remarks
    assert summary["faces_found"] == 0
    assert summary["seconds"] == pytest.approx(0.4)


def test_silence(tmp_path: Path, accepted: Callable[..., tuple[Any, str]]) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((900, 2)), 44100)
    summary, remarks = accepted(tmp_path / "a.wav")
    assert "is silent" in remarks
    assert summary["mean_audio_responsibility"] is None
    result = read_sound(tmp_path / "a-enhanced.wav")
    assert result.waveform.shape == (2, 900)
    assert not result.waveform.any()


@pytest.mark.parametrize("rate", [8000, 16000, 96000])
@pytest.mark.parametrize("seconds", [0.01, 0.3])
def test_short_files_and_uncommon_rates(
    tmp_path: Path, accepted: Callable[..., tuple[Any, str]], rate: int, seconds: float
) -> None:
    summary, _ = accepted(sound(tmp_path / "a.wav", seconds, rate))
    assert summary["seconds"] == pytest.approx(seconds)
    result = read_sound(tmp_path / "a-enhanced.wav")
    assert result.sample_rate == rate
    assert result.waveform.shape == (1, round(seconds * rate))


def test_samples_that_are_no_numbers(tmp_path: Path, refused: Refused) -> None:
    samples = speech(0.1)
    samples[7] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, RATE, "FLOAT")
    assert "1 samples that are NaN or infinite" in refused(tmp_path / "a.wav")


def test_files_that_are_something_else(tmp_path: Path, refused: Refused) -> None:
    for name in ("a.mp4", "a.wav", "a.npy"):
        (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(5000))
    assert "cannot read" in refused(tmp_path / "a.mp4")
    assert "cannot read" in refused(tmp_path / "a.wav")
    voice = sound(tmp_path / "b.wav")
    assert "cannot read" in refused(voice, "--video", tmp_path / "a.mp4")
    assert "cannot read lips" in refused(voice, "--video", tmp_path / "a.npy")
    assert "no video track" in refused(voice, "--video", voice)


def test_truncated_video(tmp_path: Path, refused: Refused) -> None:
    whole = video(tmp_path / "whole.mkv", 2.0).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])
    line = refused(cut)
    assert str(cut) in line


def test_video_that_stops_half_way_is_used_as_far_as_it_goes(
    tmp_path: Path, accepted: Callable[..., tuple[Any, str]]
) -> None:
    whole = video(tmp_path / "whole.mkv", 2.0, size=96, voice=False).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])
    # a small picture without a face counts as a mouth
    summary, remarks = accepted(sound(tmp_path / "a.wav", 2.0), "--video", cut)
    assert 0.3 < summary["faces_found"] < 0.7
    assert "the others are enhanced by ear" in remarks


def test_checkpoints_that_are_none(tmp_path: Path, tiny_checkpoint: Path, refused: Refused) -> None:
    voice = sound(tmp_path / "a.wav")
    assert "no checkpoint no-such-model" in refused(voice, checkpoint="no-such-model")
    assert "no safetensors file" in refused(voice, checkpoint=voice)
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    assert "is no checkpoint of minvae_pyro" in refused(voice, checkpoint=tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(tiny_checkpoint.read_bytes()[:-100])
    assert "damaged" in refused(voice, checkpoint=tmp_path / "cut.safetensors")


def test_checkpoints_of_another_version(tmp_path: Path, tiny_checkpoint: Path, refused: Refused) -> None:
    voice = sound(tmp_path / "a.wav")
    content = tiny_checkpoint.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])["__metadata__"]

    def changed(name: str, tensors: dict[str, torch.Tensor], **description: object) -> Path:
        described = json.loads(header["minvae_pyro"]) | description
        save_file(tensors, tmp_path / name, {"minvae_pyro": json.dumps(described)})
        return tmp_path / name

    tensors = load_file(tiny_checkpoint)
    assert "reads format" in refused(voice, checkpoint=changed("a.safetensors", tensors, format=99))
    fewer = {name: value for name, value in tensors.items() if not name.endswith("bias")}
    line = refused(voice, checkpoint=changed("b.safetensors", fewer, version="7.7"))
    assert "lacks weights" in line
    assert "7.7" in line
    line = refused(voice, checkpoint=changed("c.safetensors", tensors, prior={"class_path": "NoSuchModel"}))
    assert "cannot be used" in line


def test_output_that_exists_is_kept_and_told_before_the_work(
    tmp_path: Path, refused: Refused, accepted: Callable[..., tuple[Any, str]]
) -> None:
    voice = sound(tmp_path / "a.wav")
    (tmp_path / "a-enhanced.wav").write_text("mine")
    # no checkpoint of that name: had it begun, it would complain of that
    assert "a-enhanced.wav exists and is kept" in refused(voice, checkpoint="no-such-model")
    accepted(voice, "--overwrite")
    assert read_sound(tmp_path / "a-enhanced.wav").waveform.shape == (1, 4800)

    report = tmp_path / "report"
    report.mkdir()
    (report / "figure.png").write_text("mine")
    line = refused(voice, "--output", tmp_path / "b.wav", "--report", report, checkpoint="no-such-model")
    assert "figure.png, which is kept" in line


def test_the_recording_is_never_overwritten(tmp_path: Path, refused: Refused) -> None:
    voice = sound(tmp_path / "a.wav")
    (tmp_path / "link.wav").symlink_to(voice)
    assert "the recording itself" in refused(voice, "--output", voice, "--overwrite")
    assert "the recording itself" in refused(voice, "--output", tmp_path / "link.wav", "--overwrite")


def test_outputs_that_cannot_be_written(tmp_path: Path, refused: Refused) -> None:
    voice = sound(tmp_path / "a.wav")
    assert "must end in .wav or .flac" in refused(voice, "--output", tmp_path / "a.mp3")
    assert "does not exist" in refused(voice, "--output", tmp_path / "missing" / "a.wav")
    assert "cannot write into /proc" in refused(voice, "--output", "/proc/a.wav")
    assert "cannot write into /proc" in refused(voice, "--report", "/proc/report")
    assert "is no folder" in refused(voice, "--report", voice / "report")


def test_names_that_mean_nothing(tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the true inference knows its names
    voice = sound(tmp_path / "a.wav")
    assert "no engine 'warp'" in refused(voice, "--engine", "warp")
    assert "no start 'somewhere'" in refused(voice, "--start", "somewhere")
