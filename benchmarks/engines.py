"""Measure the inference engines: quality against time, growth with length and batch, the arithmetic limit, training.

python -m benchmarks.engines shared/data/tcd_timit/demo --weights shared/data/published_checkpoints
    --mixtures shared/data/mixtures.csv --output results
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import batches, growth, quality, shipped, steps
from benchmarks.common import answer, progress_bar
from minvae_pyro.checkpoints.checkpoint import checkpoint_file
from minvae_pyro.errors import UserError
from minvae_pyro.files import make_folder, write_atomic
from minvae_pyro.plots import save_figure

PARTS = ("quality", "mixtures", "growth", "batches", "limit", "steps")
"""What is measured, in this order."""

PRIOR = "a-vae"
"""The shipped weights whose growth is measured."""

SHIPPED = "min-vae"
"""The shipped weights that enhance the mixtures."""


@dataclass(frozen=True)
class Job:
    """What to measure.

    Attributes:
        demo: folder of the utterance.
        output: folder of results, which keeps what was measured for the next call. Limit and steps are measured anew.
        parts: some of :data:`PARTS`.
        weights: folder of published weights; needed for quality.
        mixtures: the table; needed for mixtures.
        lengths: seconds of sound, of growth.
        sizes: recordings in a batch; those of the device when empty.
        device: of batches.
    """

    demo: Path
    output: Path
    parts: Sequence[str] = PARTS
    weights: Path | None = None
    mixtures: Path | None = None
    lengths: Sequence[float] = growth.LENGTHS
    sizes: Sequence[int] = ()
    device: str = "cpu"


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, metavar="FOLDER", help="clean.wav and noisy.wav of one utterance")
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="published weights, in A-VAE and A-DKF")
    parser.add_argument("--mixtures", type=Path, metavar="CSV", help="table of mixtures with videos")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="engines.md, engines.png, results")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure (default: all)")
    parser.add_argument(
        "--lengths", nargs="+", type=float, default=growth.LENGTHS, metavar="S", help="seconds of sound, of growth"
    )
    parser.add_argument("--hours", action="store_true", help="an hour of sound as well")
    parser.add_argument(
        "--batches", nargs="+", type=int, default=(), metavar="N", help="recordings in a batch (default: by device)"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where batches are computed")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when all is measured, 2 with one line on stderr when something that was given cannot be used.
    """
    given = parser().parse_args(arguments)
    lengths = [*given.lengths, growth.HOUR] if given.hours else given.lengths
    job = Job(given.demo, given.output, given.only, given.weights, given.mixtures, lengths, given.batches, given.device)
    return answer(lambda: benchmark(job))


def benchmark(job: Job) -> str:
    """Measure what was not measured before, write the tables and the figures, and return the tables.

    Raises:
        UserError: utterance, mixtures, weights, device or output cannot be used.
    """
    for part, given, option in (("quality", job.weights, "--weights"), ("mixtures", job.mixtures, "--mixtures")):
        if part in job.parts and given is None:
            raise UserError(f"{part} needs {option}: give it, or say --only.")
    if job.device == "cuda" and not torch.cuda.is_available():
        raise UserError("there is no CUDA device: choose --device cpu.")
    demonstration = quality.read_demonstration(job.demo)
    for folder in ("quality", "growth", "batches", "shipped", "mouths"):
        make_folder(job.output / folder)
    text = ["# Engines", "", "Torch on one thread."]
    if "quality" in job.parts and job.weights is not None:
        runs = quality.measure(demonstration, job.weights, job.output)
        save_figure(quality.quality_figure(runs), job.output / "engines.png", overwrite=True)
        load = f"The load of the machine in the minute before each run was up to {runs.load.max():.1f}."
        text += ["", "## Quality against time", "", load, "", quality.in_table(runs, demonstration)]
    if "mixtures" in job.parts and job.mixtures is not None:
        with progress_bar() as progress:
            gains = shipped.measure(job.mixtures, checkpoint_file(SHIPPED), job.output, progress)
        save_figure(shipped.quality_figure(gains), job.output / "mixtures.png", overwrite=True)
        text += ["", f"## `{SHIPPED}` on {gains.id.nunique()} mixtures, and the stream", "", shipped.in_table(gains)]
    if "growth" in job.parts:
        sizes = growth.measure(demonstration, checkpoint_file(PRIOR), job.lengths, job.output)
        title = f"## Growth with the length of a recording (`{PRIOR}`, engine {', '.join(sizes.engine.unique())})"
        text += ["", title, "", growth.in_table(sizes)]
    if "batches" in job.parts:
        counts = job.sizes or batches.SIZES[job.device]
        together = batches.measure(demonstration, checkpoint_file(PRIOR), counts, job.device, job.output)
        title = f"## Growth with the recordings in a batch (`{PRIOR}`, on {job.device})"
        text += ["", title, "", batches.in_table(together)]
    if "limit" in job.parts:
        text += ["", f"## How far from the arithmetic (`{PRIOR}`, engine fast)", ""]
        text += [batches.limit(demonstration, checkpoint_file(PRIOR))]
    if "steps" in job.parts:
        title = f"## Steps of training (batches of {steps.BATCH} x {steps.FRAMES} frames)"
        text += ["", title, "", steps.in_table(steps.measure(steps.batch()))]
    report = "\n".join(text) + "\n"
    write_atomic(job.output / "engines.md", report.encode(), overwrite=True)
    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
