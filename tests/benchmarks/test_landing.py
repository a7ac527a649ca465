from pathlib import Path

import pytest
import soundfile
import torch

from benchmarks.landing import main


def test_a_noise_that_ends_too_early_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seconds in (("clip", 2), ("noise", 1)):
        soundfile.write(tmp_path / f"{name}.wav", torch.rand(seconds * 16000).numpy(), 16000)
    assert main([str(tmp_path / "clip.wav"), str(tmp_path / "noise.wav"), "--output", str(tmp_path)]) == 2
    assert "give a smaller --offset" in capsys.readouterr().err
    assert not list(tmp_path.glob("landing-*"))
