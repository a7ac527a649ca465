import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import save_file

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.cli.main import main
from minvae_pyro.corpora.manifest import Entry, write_manifest

SETTINGS = '{"format": 2, "stft": {"n_fft": 1024, "hop": 533, "sample_rate": 16000}}'


@pytest.fixture
def options(tmp_path):
    """Options of a small run: 20 clips of noise."""
    folder = tmp_path / "corpus"
    (folder / "features").mkdir(parents=True)
    (folder / "settings.json").write_text(SETTINGS)
    entries = []
    for row in range(20):
        file = f"features/{row}.safetensors"
        save_file({"power": torch.rand(20, 513), "band": torch.ones(513, dtype=torch.bool)}, folder / file)
        entries.append(Entry(str(row), file, 20, 19 * 533 / 16000, False, 0.0, "x", "y"))
    write_manifest(folder, entries)
    given = {"train": f'["{folder}"]', "validation": f'["{folder}"]', "crop_frames": 1, "batch_size": 5}
    return [
        "--config=a-vae",
        f"--output={tmp_path / 'run'}",
        "--device=cpu",
        *(f"--data.{k}={v}" for k, v in given.items()),
    ]


def test_training_prints_its_epochs_and_where_the_weights_are(options, tmp_path, capsys):
    assert main(["train", *options, "--epochs=2", "--data.crop_frames=20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch 1/2  train/loss ")
    assert lines[-1] == f"weights: {tmp_path / 'run' / 'weights.safetensors'}"
    load_checkpoint(tmp_path / "run" / "weights.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "nothing"], "there is no configuration nothing"),
        (["--config", "a-vae", "--data.train", '["nowhere"]'], "data.train: nowhere does not exist"),
        (["--config", "a-vae", "--rate", "3"], "--rate"),
    ],
)
def test_mistakes_are_one_line_and_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_a_stopped_process_leaves_a_run_that_continues(options, tmp_path, name):
    # one epoch is 80 batches, so that the signal comes in the middle of the second
    # a job started in the background inherits a disposition that ignores Ctrl-C; a user's terminal does not
    program = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "runpy.run_module('minvae_pyro.cli.main', run_name='__main__')"
    )
    command = [sys.executable, "-c", program, "train", *options, "--optimisation.one_cycle=false"]
    with subprocess.Popen(
        [*command, "--epochs=1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("epoch 1/1000")
        time.sleep(0.2)
        process.send_signal(getattr(signal, name))
        _, error = process.communicate(timeout=60)
    if name == "SIGKILL":
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert error == "minvae train: interrupted; the same command continues after the last complete epoch\n"
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    epochs = torch.load(last, weights_only=True)["epoch"] + 1
    assert main(["train", *options, "--optimisation.one_cycle=false", f"--epochs={epochs + 1}"]) == 0
    assert torch.load(last, weights_only=True)["epoch"] == epochs
