"""Two processes train as one does with batches of double the size."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from minvae_pyro.cli.main import main
from minvae_pyro.corpora.manifest import Entry, write_manifest
from minvae_pyro.errors import UserError
from minvae_pyro.training.configuration import read_configuration
from minvae_pyro.training.run import train
from minvae_pyro.training.trainer import make_trainer

SETTINGS = '{"format": 2, "stft": {"n_fft": 1024, "hop": 533, "sample_rate": 16000}}'

# Draws at the mean: which numbers a process draws hangs on its batch. Two runs in one program, as those of a family.
PROGRAM = """
import sys, torch
torch.set_num_threads(1)
torch.normal = lambda mean, *rest, **more: mean
zeros = lambda shape, dtype, device: torch.zeros(shape, dtype=dtype, device=device)
torch.distributions.normal._standard_normal = zeros
from minvae_pyro.cli.main import main
sys.exit(main([*sys.argv[1:], "--epochs=2"]) or main([*sys.argv[1:], "--epochs=4"]))
"""


def prepared(folder: Path, lengths: list[int], seed: int) -> str:
    """A prepared folder of random power."""
    (folder / "features").mkdir(parents=True)
    (folder / "settings.json").write_text(SETTINGS)
    generator = torch.Generator().manual_seed(seed)
    entries = []
    for row, frames in enumerate(lengths):
        power = torch.rand(frames, 513, generator=generator) * (1 + row) + 0.01
        file = f"features/{row}.safetensors"
        save_file({"power": power, "band": torch.ones(513, dtype=torch.bool)}, folder / file)
        entries.append(Entry(str(row), file, frames, (frames - 1) * 533 / 16000, False, 0.0, "x", "y"))
    write_manifest(folder, entries)
    return f"[{folder}]"


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """A run whose last batch is one clip: one process has nothing to learn from then, and little to validate on."""
    return [
        *("--prior=AudioVAE", "--guide=AudioGuide", "--device=cpu", "--patience=0", "--optimisation.clip=100"),
        f"--data.train={prepared(tmp_path / 'train', [12, 30, 7, 21, 16], 0)}",
        f"--data.validation={prepared(tmp_path / 'validation', [9, 25, 14], 1)}",
    ]


def curve(folder: Path) -> list[tuple[float, float]]:
    """Training and validation loss of every epoch."""
    found: dict[int, dict[str, float]] = {}
    for path in sorted(folder.glob("csv/*/metrics.csv")):
        for row in csv.DictReader(path.read_text().splitlines()):
            found.setdefault(int(row["epoch"]), {}).update({k: float(v) for k, v in row.items() if v and "loss" in k})
    return [(one["train/loss"], one["validation/loss"]) for _, one in sorted(found.items())]


def test_two_processes_have_the_curve_of_one_with_the_double_batch(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, two, one = tmp_path / "program.py", tmp_path / "two", tmp_path / "one"
    program.write_text(PROGRAM)
    shared = ["--data.batch_size=2", "--trainer.devices=2", "--trainer.strategy=ddp", f"--output={two}"]
    done = subprocess.run(
        [sys.executable, str(program), "train", *options, *shared],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    # the second run went on after the first, and only the first process speaks
    assert [line.split("  ")[0] for line in done.stdout.splitlines() if line.startswith("epoch")] == [
        *("epoch 1/2", "epoch 2/2", "epoch 3/4", "epoch 4/4")
    ]
    assert done.stdout.count("weights: ") == 2
    assert "GLOBAL_RANK" not in done.stderr

    monkeypatch.setattr(torch, "normal", lambda mean, *rest, **more: mean)
    monkeypatch.setattr(
        "torch.distributions.normal._standard_normal",
        lambda shape, dtype, device: torch.zeros(shape, dtype=dtype, device=device),
    )
    train([*options, "--data.batch_size=4", "--epochs=4", f"--output={one}"])
    expected, found = curve(one), curve(two)
    assert len(expected) == 4
    assert expected[3][0] < 0.99 * expected[0][0]
    assert found == [pytest.approx(losses, rel=1e-5) for losses in expected]
    weights, reference = load_file(two / "weights.safetensors"), load_file(one / "weights.safetensors")
    for name, tensor in reference.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_loggers_callbacks_and_strategies_are_named_by_class(options: list[str], tmp_path: Path) -> None:
    settings = read_configuration(
        [
            *(*options, f"--output={tmp_path / 'run'}", "--trainer.strategy=SingleDeviceStrategy"),
            *("--trainer.logger=CSVLogger", "--trainer.logger.save_dir", str(tmp_path), "--trainer.logger.name=mine"),
            "--trainer.callbacks=[LearningRateMonitor, {class_path: Timer, init_args: {interval: epoch}}]",
            *("--trainer.precision=64-true", "--trainer.strategy.device=cpu"),
        ]
    )
    trainer = make_trainer(settings, 1.0)
    assert [type(logger).__name__ for logger in trainer.loggers] == ["CSVLogger", "CSVLogger"]
    assert trainer.loggers[1].name == "mine"
    assert {"LearningRateMonitor", "Timer", "ModelCheckpoint"} <= {type(one).__name__ for one in trainer.callbacks}
    assert type(trainer.strategy).__name__ == "SingleDeviceStrategy"
    assert trainer.precision == "64-true"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--trainer.callbacks=Nothing", "there is no trainer.callbacks 'Nothing'"),
        ("--trainer.callbacks=pathlib.Path", "'pathlib.Path' is no trainer.callbacks"),
        ("--trainer.logger={class_path: CSVLogger, init_args: {folder: x}}", "trainer.logger CSVLogger cannot be made"),
        ("--trainer.strategy=sideways", "trainer: .*sideways"),
        ("--trainer.precision=7-bit", "trainer: .*7-bit"),
        ("--trainer.accelerator=abacus", "trainer: .*abacus"),
    ],
)
def test_what_lightning_does_not_have_is_one_line(options: list[str], tmp_path: Path, given: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        train([*options, f"--output={tmp_path / 'run'}", given])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_another_number_of_processes_does_not_continue_a_run(options: list[str], tmp_path: Path, capsys) -> None:
    once = ["train", *options, f"--output={tmp_path / 'run'}", "--epochs=1"]
    assert main(once) == 0
    assert main([*once, "--trainer.devices=2"]) == 2
    assert "another trainer" in capsys.readouterr().err
