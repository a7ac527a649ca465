import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from benchmarks.landing import main


def test_sounds_and_figures_are_written(real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = sorted((real_data / "grid" / "s26").glob("*.mpg"))[0]
    noise = real_data / "noise" / "doing-the-dishes.flac"
    assert main([str(clip), str(noise), "--offset", "320000", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    before, after = map(float, re.findall(r"SI-SDR \(dB\) (\S+) to ([^,]+)", said)[0])
    assert before == pytest.approx(0, abs=0.1)  # mixed at 0 dB
    assert after > 6
    sounds = {name: torch.tensor(soundfile.read(tmp_path / f"landing-{name}.mp3")[0]) for name in ("noisy", "enhanced")}
    assert sounds["noisy"].shape == sounds["enhanced"].shape
    assert all(0.5 < sound.abs().max() < 1 for sound in sounds.values())
    assert sounds["enhanced"][:4000].std() < 0.1 * sounds["noisy"][:4000].std()
    for theme, dark in (("light", False), ("dark", True)):
        picture = Image.open(tmp_path / f"landing-{theme}.webp").convert("RGBA")
        pixels = torch.tensor(np.asarray(picture)).reshape(-1, 4)
        assert (pixels[:, 3] == 0).float().mean() > 0.1
        letters = pixels[pixels[:, 3] == 255, :3].float()
        assert bool((letters.std(1) < 5).logical_and(letters.mean(1) > 200).float().mean() > 0.005) == dark


def test_a_noise_that_ends_too_early_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seconds in (("clip", 2), ("noise", 1)):
        soundfile.write(tmp_path / f"{name}.wav", torch.rand(seconds * 16000).numpy(), 16000)
    assert main([str(tmp_path / "clip.wav"), str(tmp_path / "noise.wav"), "--output", str(tmp_path)]) == 2
    assert "give a smaller --offset" in capsys.readouterr().err
