"""A write that fails is one line, leaves no half of a file, and the same command goes on when there is room."""

import errno
from pathlib import Path
from typing import Any

import pytest

from minvae_pyro import files
from minvae_pyro.cli.main import main
from minvae_pyro.errors import WriteError


def run_of(corpora: Path, output: Path) -> list[str]:
    return [
        *("train", "--config", "a-vae", "--epochs", "2", "--output", str(output), "--device", "cpu"),
        *("--data.train", f"[{corpora / 'train'}]", "--data.validation", f"[{corpora / 'validation'}]"),
    ]


@pytest.mark.parametrize("full", [1, 3])
def test_training_goes_on_when_there_is_room_again(
    full: int, corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write, written = Path.write_bytes, []

    def fails_after(path: Path, content: bytes) -> int:
        if ".part" in path.name and len(content) > 100_000:
            written.append(path)
            if len(written) > full:
                write(path, content[:1000])
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content)

    output = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", fails_after)
        assert main(run_of(corpora, output)) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "No space left on device" in error
    assert not list(output.rglob("*.part"))
    assert main(run_of(corpora, output)) == 0
    assert (output / "weights.safetensors").is_file()


def test_whoever_notices_a_full_disk(
    corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    from lightning.pytorch.loggers import CSVLogger

    def fails(*_: Any, **__: Any) -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("unexpected position") from error

    monkeypatch.setattr(CSVLogger, "log_metrics", fails)
    assert main(run_of(corpora, tmp_path / "run")) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "cannot write into" in error
    assert "the same command continues" in error


def test_other_errors_are_no_full_disk() -> None:
    assert files.failed_write(ValueError("x")) is None
    assert files.failed_write(FileNotFoundError(errno.ENOENT, "x")) is None
    error = WriteError("x")
    error.__cause__ = OSError(errno.EROFS, "Read-only file system")
    assert files.failed_write(error) is error.__cause__
