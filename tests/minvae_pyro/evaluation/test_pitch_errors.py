import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.audio.pitch import Pitch
from minvae_pyro.cli.main import main
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.mixtures import read_mixtures
from minvae_pyro.evaluation.pitch_errors import PITCH_ERRORS, compare, pitch_errors

NO = math.nan


def pitch(*hertz: float) -> Pitch:
    return Pitch(np.arange(len(hertz)) / 100, np.array(hertz))


def voice(hertz: float, samples: int = 8000) -> torch.Tensor:
    phase = 2 * math.pi * hertz * torch.arange(samples) / 16000
    return 0.1 * torch.stack([(n * phase).sin() / n for n in range(1, 9)]).sum(0)


@pytest.mark.parametrize(
    ("true", "found", "voicing", "gross", "both"),
    [
        ((100, 200, NO, NO), (100, 200, NO, NO), 0, 0, 0),
        # one voice missed and one too many; of the two voiced in both one is off by a quarter
        ((100, 100, 100, NO, NO), (119, 125, NO, NO, 80), 2 / 5, 1 / 2, 3 / 5),
        # a fifth is no gross error yet, above and below
        ((100, 100), (120, 80), 0, 0, 0),
        ((100, 100), (121, 79), 0, 1, 1),
        ((100, NO), (NO, 100), 1, NO, 1),
        ((NO, NO), (NO, NO), 0, NO, 0),
    ],
)
def test_errors_are_the_shares_of_their_definitions(true, found, voicing, gross, both):
    errors = compare(pitch(*true), pitch(*found))
    assert list(errors) == list(PITCH_ERRORS)
    assert list(errors.values()) == pytest.approx([voicing, gross, both], nan_ok=True)


def test_sounds_of_known_pitch():
    silence = torch.zeros(8000)
    clean = torch.cat([voice(120), silence])
    assert list(pitch_errors(clean, 0.3 * clean, 16000).values()) == [0, 0, 0]
    higher = pitch_errors(clean, torch.cat([voice(180), silence]), 16000)
    assert higher["gross_pitch_error"] == 1
    assert higher["voicing_error"] < 0.05
    assert higher["pitch_frame_error"] == pytest.approx(0.5, abs=0.05)
    lost = pitch_errors(clean, torch.zeros(16000), 16000)
    assert lost["voicing_error"] == lost["pitch_frame_error"] == pytest.approx(0.5, abs=0.05)
    assert math.isnan(lost["gross_pitch_error"])


def test_sounds_of_two_lengths_are_refused():
    with pytest.raises(UserError, match=r"differ in length \(10, 11 samples\)"):
        pitch_errors(torch.ones(10), torch.ones(11), 16000)


@pytest.fixture
def estimates(table: Path, tmp_path: Path) -> Path:
    """The clean sounds of two mixtures, one of them silent in its second half."""
    folder = tmp_path / "estimates"
    folder.mkdir()
    for mixture in read_mixtures(table):
        clean = mixture.build()[1].clone()
        if mixture.id == "1":
            clean[8000:] = 0
        write_sound(folder / f"{mixture.id}.wav", Sound(clean[None], 16000))
    return folder


def test_evaluation_has_the_columns_where_they_are_asked_for(table, estimates, tmp_path, capsys):
    arguments = ["evaluate", "--mixtures", str(table), "--estimates", f"theirs={estimates}", "--no-sounds"]
    assert main([*arguments, "--output", str(tmp_path / "without")]) == 0
    assert not set(PITCH_ERRORS) & set(pd.read_csv(tmp_path / "without" / "scores.csv"))
    # in the same folder: what is finished lacks them, and is done again
    assert main([*arguments, "--output", str(tmp_path / "without"), "--overwrite", "--pitch"]) == 0
    found = pd.read_csv(tmp_path / "without" / "scores.csv").set_index(["system", "id"])
    # files hold 16 or 24 bits, no more
    assert found.loc["theirs", 0][list(PITCH_ERRORS)].max() < 0.05
    assert found.loc["theirs", 1]["voicing_error"] > 0.1
    assert found.loc["input"][list(PITCH_ERRORS)].notna().all(axis=None)
    assert "## Pitch" in (tmp_path / "without" / "summary.md").read_text()
    capsys.readouterr()


def test_without_librosa_nothing_is_begun(table, estimates, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "librosa", None)
    output = tmp_path / "results"
    arguments = ["evaluate", "--mixtures", str(table), "--estimates", f"theirs={estimates}", "--pitch"]
    assert main([*arguments, "--output", str(output)]) == 2
    error = capsys.readouterr().err
    assert "the comparison of pitch needs librosa, which cannot be loaded here" in error
    assert error.count("\n") == 1
    assert not output.exists()
