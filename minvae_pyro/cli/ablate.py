"""``minvae ablate``: factors with levels, measured, and what each level changes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minvae_pyro.cli.console import CommandParser, say
from minvae_pyro.cli.evaluate import add_running, run
from minvae_pyro.files import check_folder

if TYPE_CHECKING:
    import pandas as pd

    from minvae_pyro.ablation.design import Ablation
    from minvae_pyro.evaluation.systems import System

_RESULTS = ("scores.parquet", "scores.csv", "ablation.md", "effects.csv", "claims.csv", "report.html")


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = CommandParser(
        prog="minvae ablate",
        description="Measure what each part of a model is worth: systems that differ in one factor or in several, on "
        "the same mixtures. Writes scores, the effect of each level with intervals, what became of claims, a "
        "figure for each factor, and a report to listen to. Levels that need other weights are trained first. An "
        "interrupted run goes on where it stopped.",
        epilog="`minvae list ablations` shows the ready-made ones; copy one to begin with.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "ablation", metavar="FILE.yaml|NAME", help="factors, levels and design, or a ready-made ablation"
    )
    parser.add_argument(
        "--mixtures",
        type=Path,
        required=True,
        metavar="CSV",
        help="table with id, clip, noise, noise_offset_samples, snr_db, as for `minvae evaluate`",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of results and trainings")
    add_running(parser, "ablation")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when everything is written.

    Raises:
        UserError: something that is given cannot be used; nothing is computed then. Or a training fails.
        KeyboardInterrupt: with what has become of the work.
    """
    given = parser().parse_args(arguments)
    check_folder(given.output, _RESULTS, overwrite=given.overwrite)

    # What can be refused without torch is refused; only now wait for it.
    from minvae_pyro.ablation.design import read_ablation
    from minvae_pyro.ablation.report import write_report
    from minvae_pyro.evaluation.mixtures import read_mixtures
    from minvae_pyro.evaluation.report.page import write_html

    mixtures = read_mixtures(given.mixtures)
    ablation = read_ablation(given.ablation)
    command = f"minvae ablate {given.ablation} --mixtures {given.mixtures} --output {given.output}"

    def write(table: pd.DataFrame) -> str:
        page = write_report(table, ablation, given.output, command)
        write_html(table, given.output, title=ablation.title, overwrite=given.overwrite)
        return page

    return run(given, mixtures, lambda: _systems(ablation, given.output), write)


def _systems(ablation: Ablation, output: Path) -> list[System]:
    """The systems of an ablation, those that need it trained, each training once."""
    plans = [(plan, plan.training) for plan in ablation.plans()]
    trainings = {training.fingerprint: training for _, training in plans if training is not None}
    weights = {}
    for number, (fingerprint, training) in enumerate(trainings.items(), start=1):
        folder = output / "trainings"
        say(f"training {number} of {len(trainings)}: {training.config}, in {folder / fingerprint}")
        weights[fingerprint] = training.run(folder)
    return [plan.system(None if training is None else weights[training.fingerprint]) for plan, training in plans]
