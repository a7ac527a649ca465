"""What the benchmarks on a table of mixtures share: an option, a bar, runs side by side, and how the command ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.cells import Bench, built, run_cell
from benchmarks.grid import Cell
from benchmarks.videos import other_clip, read_once
from minvae_pyro.errors import UserError


def add_common(parser: argparse.ArgumentParser, names: Iterable[str], output: str) -> None:
    """Add the options on mixtures, output, weights and processes.

    Args:
        parser: of the command.
        names: of the systems.
        output: what the folder gets.
    """
    parser.add_argument("--mixtures", type=Path, required=True, metavar="CSV", help="table of mixtures")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help=output)
    parser.add_argument(
        "--weights",
        nargs="+",
        default=["shipped"],
        metavar="[NAME=]PLACE",
        help="shipped, a folder, or a pattern with {name} and {seed}; NAME= says it for one system "
        f"({', '.join(names)})",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2); results do not depend on it")


def answer(work: Callable[[], str]) -> int:
    """Print what a benchmark returns.

    Returns:
        0 when all is measured, 2 with one line on stderr when something that was given cannot be used.
    """
    try:
        print(work())
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def progress_bar() -> Progress:
    """A bar on stderr with counts and times."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))


def run_all(bench: Bench, wanted: Sequence[Cell], workers: int, progress: Progress) -> None:
    """Read the mouths that runs need, and run those that are not finished."""
    shown = {cell.video for cell in wanted}
    heard = {mixture.clip for mixture in built(bench.table)[0]}
    clips = heard if shown & {"right", "frozen"} else set()
    if "other" in shown:
        clips |= {other_clip(clip) for clip in heard}
    _side_by_side(read_once, [(clip, bench.mouths) for clip in sorted(clips)], workers, progress, "reading mouths")
    cells = [(bench, cell) for cell in wanted if not bench.file(cell).exists()]
    _side_by_side(run_cell, cells, workers, progress, "enhancing and scoring", "done: {}")


def _side_by_side(
    work: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    workers: int,
    progress: Progress,
    description: str,
    line: str = "",
) -> None:
    running = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch=workers)
    done = running(joblib.delayed(work)(*job) for job in jobs)
    for result in progress.track(done, total=len(jobs), description=description):
        if line:  # for those who watch a log
            progress.console.print(line.format(result), highlight=False)
