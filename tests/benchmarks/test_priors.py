import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import priors, running
from minvae_pyro.building import together
from minvae_pyro.checkpoints import load_checkpoint, shipped

Handmade = Callable[..., Path]


def run(table: Path, output: Path, *more: str) -> int:
    given = f"--mixtures {table} --output {output} --weights {table.parent} --only a-vae --workers 1"
    return priors.main([*given.split(), *more])


def test_every_prior_ships_its_weights() -> None:
    assert set(priors.PRIORS) <= set(shipped())


def test_the_table_is_the_scores(
    tmp_path: Path, table: Path, handmade: Handmade, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = handmade(tmp_path / "a-vae.safetensors")
    assert run(table, tmp_path / "out") == 0
    text = capsys.readouterr().out
    assert text.rstrip("\n") == (tmp_path / "out" / "priors.md").read_text().rstrip("\n")
    row = next(line for line in text.splitlines() if line.startswith("| A-VAE"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    scores = {file.name.partition("-")[0]: pd.read_csv(file) for file in (tmp_path / "out" / "scores").glob("*.csv")}
    gain = scores["a"].si_sdr.mean() - scores["input"].si_sdr.mean()
    # prior, paper, what differs, one column for each of the two ratios, all, weights, seconds
    assert cells[5].split(" / ")[0] == f"{gain:+.2f}"
    checkpoint = load_checkpoint(weights)
    count = sum(p.numel() for p in together(checkpoint.prior, checkpoint.guide).parameters())
    assert cells[6] == f"{count / 1000:.0f} k"
    assert float(cells[7]) > 0
    assert re.search(r"\+30 dB \| \+35 dB", text)


def test_what_was_measured_is_not_measured_again(
    tmp_path: Path, table: Path, handmade: Handmade, monkeypatch: pytest.MonkeyPatch
) -> None:
    handmade(tmp_path / "a-vae.safetensors")
    assert run(table, tmp_path / "out") == 0
    before = (tmp_path / "out" / "priors.md").read_text()

    def never(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(running, "run_cell", never)
    monkeypatch.setattr(priors, "estimate", never)
    assert run(table, tmp_path / "out") == 0
    assert (tmp_path / "out" / "priors.md").read_text() == before


def test_missing_weights_are_named(tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(table, tmp_path / "out") == 2
    assert "a-vae.safetensors: say --weights or --only" in capsys.readouterr().err
