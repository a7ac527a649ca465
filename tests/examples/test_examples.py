"""Every example runs as a reader would run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("[0-9]*.py"))


def run(script: Path, *arguments: str, folder: Path) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_examples():
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(script, tmp_path):
    assert run(script, folder=tmp_path).strip()
    if "figure" in script.read_text():
        assert list(tmp_path.glob(f"examples-output/{script.stem}.png"))


def test_the_closed_form_is_the_best_responsibility(tmp_path):
    out = run(EXAMPLES[0], folder=tmp_path)
    assert float(re.search(r"largest difference (\S+)", out)[1]) <= 1.5e-4
    collapsed, elbo = (float(v) for v in re.search(r"bounds (\S+), enumerated ELBO (\S+) nats", out).groups())
    assert collapsed == pytest.approx(elbo, abs=1e-3)


def test_inference_raises_objective_and_quality(tmp_path):
    out = run(EXAMPLES[1], folder=tmp_path)
    steps = [(float(e), float(q)) for e, q in re.findall(r"ELBO\s+(\S+) nats a frame, SI-SDR\s+(\S+) dB", out)]
    before = float(re.search(r"noisy: SI-SDR (\S+) dB", out)[1])
    assert steps[-1][0] > steps[0][0]
    assert steps[-1][1] > before


def test_an_own_prior_runs_under_every_engine(tmp_path):
    out = run(EXAMPLES[2], folder=tmp_path)
    gains = [float(b) - float(a) for a, b in re.findall(r"SI-SDR (\S+) -> (\S+) dB", out)]
    assert len(gains) == 4
    assert min(gains) > 1
