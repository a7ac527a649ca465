"""Measure enhancement on a table of mixtures: systems, starts, videos and speed, over training seeds.

python -m benchmarks.enhancement --mixtures ../shared/data/mixtures.csv --output results
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks import figures, tables
from benchmarks.cells import Bench, built
from benchmarks.grid import PARTS, SHIPPED, SYSTEMS, VIDEOS, Cell, Weights, cells
from benchmarks.running import add_common, answer, progress_bar, run_all
from benchmarks.speed import measure
from minvae_pyro.destinations import make_folder
from minvae_pyro.errors import UserError
from minvae_pyro.plots import save_figure
from minvae_pyro.writing import write_whole


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.enhancement", description=__doc__.splitlines()[0])
    add_common(parser, SYSTEMS, "results.md, figures, scores")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="trainings (default: 0 1 2)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure (default: all)")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when all is measured, 2 with one line on stderr when something that was given cannot be used.
    """
    given = parser().parse_args(arguments)
    return answer(
        lambda: benchmark(given.mixtures, given.output, Weights(given.weights), given.seeds, given.only, given.workers)
    )


def benchmark(
    mixtures: Path, output: Path, weights: Weights, seeds: Sequence[int], parts: Sequence[str], workers: int
) -> str:
    """Measure what was not measured before, write tables and figures, and return the tables.

    Args:
        mixtures: the table.
        output: folder of results, which keeps finished runs for the next call.
        weights: where the checkpoints lie.
        seeds: of trainings. A system without a checkpoint for a seed is left out there, and the text says so.
        parts: some of :data:`benchmarks.grid.PARTS`.
        workers: processes.

    Raises:
        UserError: mixtures, checkpoints or output cannot be used.
    """
    bench = Bench(mixtures, output, weights)
    missing = [(name, seed) for name in SYSTEMS for seed in seeds if not weights.path(name, seed).is_file()]
    wanted = [cell for cell in cells(parts, tuple(SYSTEMS), seeds) if (cell.system, cell.seed) not in missing]
    if len(missing) == len(SYSTEMS) * len(seeds):
        raise UserError(f"there is no checkpoint, not even {weights.path(*missing[0])}: say --weights.")
    for folder in ("mouths", "scores", "speed"):
        make_folder(output / folder)
    with progress_bar() as progress:
        run_all(bench, wanted, workers, progress)
        times = {}
        if "speed" in parts:
            # after the others, so that nothing of ours runs beside it
            first = {name: next((s for s in seeds if (name, s) not in missing), None) for name in SYSTEMS}
            present = {name: seed for name, seed in first.items() if seed is not None}
            for name, seed in progress.track(present.items(), description="speed"):
                times[name] = measure(bench, name, seed)
    text = _report(bench, wanted, parts, times, missing)
    write_whole(output / "results.md", text.encode(), overwrite=True)
    return text


def _report(
    bench: Bench,
    wanted: Sequence[Cell],
    parts: Sequence[str],
    times: dict[str, pd.DataFrame],
    missing: Sequence[tuple[str, int]],
) -> str:
    mixtures = built(bench.table)[0]
    talkers = list(dict.fromkeys(mixture.talker for mixture in mixtures))
    text = [
        "# Enhancement",
        "",
        f"{len(mixtures)} mixtures of {bench.table.name}. Gains over the input; mean over trainings, in parentheses "
        "the least and the greatest of them.",
    ]
    if missing:
        names = ", ".join(f"{name} of seed {seed}" for name, seed in missing)
        text.append(f"Left out, for there is no checkpoint: {names}.")
    if wanted:
        runs = tables.collect(bench, wanted)
        undefined = int(runs[list(tables.METRICS)].isna().any(axis=1).sum())
        if undefined:
            text.append(f"{undefined} estimates have a score that is not defined and is left out of its means.")
        shown = {"systems": tables.by_snr, "starts": tables.by_start, "videos": tables.by_video}
        for part, table in shown.items():
            if part in parts:
                text += [
                    line
                    for talker in talkers
                    for line in ("", f"## {part.capitalize()}, talker {talker}", "", table(runs, talker))
                ]
        if "systems" in parts:
            save_figure(figures.gains_figure(runs), bench.output / "gains.png", overwrite=True)
        if "videos" in parts:
            _draw_responsibility(bench, wanted)
    if times:
        load = max(table["load"].iloc[0] for table in times.values())
        text += [
            "",
            "## Speed",
            "",
            f"Torch on one thread. The load of the machine in the minute before was up to {load:.1f}, the runs above "
            "included.",
            "",
            tables.of_speed(times),
        ]
    return "\n".join(text) + "\n"


def _draw_responsibility(bench: Bench, wanted: Sequence[Cell]) -> None:
    """Of the first training of the shipped model, for the worst and the best ratio of each talker."""
    seeds = [cell.seed for cell in wanted if cell.system == SHIPPED.name]
    if not seeds:
        return
    found = {video: bench.responsibilities(Cell(SHIPPED.name, seeds[0], SHIPPED.start, video)) for video in VIDEOS}
    mixtures, sounds = built(bench.table)
    chosen = {}
    for talker in dict.fromkeys(mixture.talker for mixture in mixtures):
        rows = [row for row, mixture in enumerate(mixtures) if mixture.talker == talker]
        for row in (min(rows, key=lambda r: mixtures[r].snr_db), max(rows, key=lambda r: (mixtures[r].snr_db, r))):
            chosen[mixtures[row].id] = mixtures[row], sounds[row][1]
    figure = figures.responsibility_figure(chosen, found)
    save_figure(figure, bench.output / "responsibility.png", overwrite=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
