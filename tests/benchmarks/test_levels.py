"""The table by level: which clips, which mixtures, which cells."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.levels import LEVELS, Clip, find_clips, measure, table
from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.errors import UserError
from minvae_pyro.synthetic.talker import speak


@pytest.fixture(scope="module")
def tiny_benchmark(handmade: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade(tmp_path_factory.mktemp("levels") / "a-vae.safetensors")


def test_a_clean_recording_is_scored_as_it_comes_out(tiny_benchmark: Path) -> None:
    clip = Clip("voice", speak(2.0, 1), None)
    noise = torch.randn(40000, generator=torch.Generator().manual_seed(0))
    checkpoint = load_checkpoint(tiny_benchmark)
    clean, noisy = (measure(checkpoint, [clip], [noise], level) for level in (math.inf, 5.0))
    assert list(clean["kind"]) == ["voice"]
    # of a clean recording the input is perfect
    assert clean["before_si_sdr"][0] > 100
    assert noisy["before_si_sdr"][0] == pytest.approx(5.0, abs=0.2)
    assert noisy["after_pesq"].notna().all()


def test_a_folder_without_the_clips_is_an_error(tmp_path: Path) -> None:
    write_sound(tmp_path / "x.wav", Sound(torch.zeros(1, 100), 16000))
    with pytest.raises(UserError, match="fewer than 4 of grid/s1"):
        find_clips(tmp_path)


def test_real_clips_of_every_kind(real_data: Path) -> None:
    clips = find_clips(real_data)
    kinds = {clip.kind: [one.mouth is not None for one in clips if one.kind == clip.kind] for clip in clips}
    assert kinds == {
        "GRID s1": [True] * 4,
        "GRID s4": [True] * 4,
        "new GRID talkers": [True] * 4,
        "LibriSpeech": [False] * 4,
        "wild": [True] * 4,
    }


def test_the_table_has_a_row_for_each_checkpoint_and_kind(
    tiny_benchmark: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = [Clip(kind, speak(1.5, number), None) for number, kind in enumerate(("GRID s1", "wild"))]
    monkeypatch.setattr("benchmarks.levels.find_clips", lambda data: one)
    monkeypatch.setattr("benchmarks.levels.GROUPS", {"GRID s1": "", "wild": ""})
    monkeypatch.setattr("benchmarks.levels.LEVELS", (0.0, math.inf))
    lines = table([str(tiny_benchmark)], real_data).splitlines()
    assert len(lines) == 4
    assert "clean: what comes out" in lines[0]
    assert len(LEVELS) == 7
