"""Measure the inference engines: quality against time, growth with the length of a recording, steps of training.

python -m benchmarks.engines shared/data/tcd_timit/demo --weights shared/data/published_checkpoints --output results
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import growth, quality, steps
from benchmarks.grid import Weights
from benchmarks.running import answer
from minvae_pyro.destinations import make_folder
from minvae_pyro.errors import UserError
from minvae_pyro.plots import save_figure
from minvae_pyro.writing import write_whole

PARTS = ("quality", "growth", "steps")
"""What is measured, in this order."""

PRIOR = "a-vae"
"""The shipped weights whose growth is measured."""


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, metavar="FOLDER", help="clean.wav and noisy.wav of one utterance")
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="published weights, in A-VAE and A-DKF")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="engines.md, engines.png, results")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure (default: all)")
    parser.add_argument(
        "--lengths", nargs="+", type=float, default=growth.LENGTHS, metavar="S", help="seconds of sound, of growth"
    )
    parser.add_argument("--hours", action="store_true", help="an hour of sound as well")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when all is measured, 2 with one line on stderr when something that was given cannot be used.
    """
    given = parser().parse_args(arguments)
    lengths = [*given.lengths, growth.HOUR] if given.hours else given.lengths
    return answer(lambda: benchmark(given.demo, given.weights, given.output, given.only, lengths))


def benchmark(demo: Path, weights: Path | None, output: Path, parts: Sequence[str], lengths: Sequence[float]) -> str:
    """Measure what was not measured before, write the tables and the figure, and return the tables.

    Args:
        demo: folder of the utterance.
        weights: folder of published weights; needed for quality.
        output: folder of results, which keeps what was measured for the next call. Steps are measured anew.
        parts: some of :data:`PARTS`.
        lengths: seconds of sound, of growth.

    Raises:
        UserError: utterance, weights or output cannot be used.
    """
    if "quality" in parts and weights is None:
        raise UserError("quality needs --weights, the folder of published weights: give it, or say --only.")
    demonstration = quality.read_demonstration(demo)
    for folder in ("quality", "growth"):
        make_folder(output / folder)
    text = ["# Engines", "", "Torch on one thread."]
    if "quality" in parts and weights is not None:
        runs = quality.measure(demonstration, weights, output)
        save_figure(quality.quality_figure(runs), output / "engines.png", overwrite=True)
        load = f"The load of the machine in the minute before each run was up to {runs.load.max():.1f}."
        text += ["", "## Quality against time", "", load, "", quality.in_table(runs, demonstration)]
    if "growth" in parts:
        sizes = growth.measure(demonstration, Weights(["shipped"], (PRIOR,)).path(PRIOR, 0), lengths, output)
        title = f"## Growth with the length of a recording (`{PRIOR}`, engine {', '.join(sizes.engine.unique())})"
        text += ["", title, "", growth.in_table(sizes)]
    if "steps" in parts:
        title = f"## Steps of training (batches of {steps.BATCH} x {steps.FRAMES} frames)"
        text += ["", title, "", steps.in_table(steps.measure(steps.batch()))]
    report = "\n".join(text) + "\n"
    write_whole(output / "engines.md", report.encode(), overwrite=True)
    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
