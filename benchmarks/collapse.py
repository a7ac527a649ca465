"""How the published recipe collapses: responsibility, pi and the bounds of both branches over the epochs.

python -m benchmarks.collapse runs/min-vae-published --output results
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from minvae_pyro.errors import UserError
from minvae_pyro.files import make_folder, write_atomic
from minvae_pyro.plots.style import BLUE, GREEN, VERMILLION, save_figure

# dashes for grey print
_SOLID, _DASHED, _DASH_DOT = (BLUE, "-"), (VERMILLION, "--"), (GREEN, "-.")
_PANELS = {
    "share that the sound explains": {
        "r_clean": ("responsibility, clean frames", _SOLID),
        "r_noisy": ("responsibility, noisy frames", _DASHED),
        "pi": ("$\\pi$", _DASH_DOT),
    },
    "bound of the audio branch (nats a frame)": {
        "L_a_clean": ("$L_a$, clean frames", _SOLID),
        "L_a_noisy": ("$L_a$, noisy frames", _DASHED),
    },
    "bound of the visual branch (nats a frame)": {"L_v": ("$L_v$", _DASH_DOT)},
}
_NEEDED = ("r_clean", "pi", "L_v")


def main(arguments: Sequence[str]) -> int:
    """Draw ``collapse.png``, write ``collapse.md`` and print it.

    Returns:
        0, or 2 with one line on stderr when a run cannot be read.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collapse", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_FOLDER", help="output folder of a training")
    parser.add_argument("--output", type=Path, default=Path("results"), metavar="FOLDER", help="default: results")
    given = parser.parse_args(arguments)
    try:
        runs = {str(folder): read_run(folder) for folder in given.runs}
        make_folder(given.output)
        save_figure(collapse_figure(runs), given.output / "collapse.png", overwrite=True)
        text = in_words(runs)
        write_atomic(given.output / "collapse.md", f"{text}\n".encode(), overwrite=True)
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(text)
    return 0


def read_run(folder: Path) -> pd.DataFrame:
    """What a training measured on its validation data, one row an epoch (from 1).

    Args:
        folder: of the run; a run that was continued has several logs, of which the later one counts.

    Raises:
        UserError: there is no log, or no mixture in it.
    """
    logs = sorted(folder.glob("csv/version_*/metrics.csv"), key=lambda log: int(log.parent.name.split("_")[1]))
    if not logs:
        raise UserError(f"{folder} has no csv/version_0/metrics.csv: give the output folder of a training.")
    table = pd.concat([pd.read_csv(log) for log in logs])
    prefix = "validation/"
    table = table.set_index(table["epoch"].rename("epoch") + 1).filter(like=prefix)
    table.columns = [column.removeprefix(prefix) for column in table.columns]
    missing = [column for column in _NEEDED if column not in table]
    if missing:
        raise UserError(f"{folder} did not log {', '.join(missing)}: give a training of a MIN-VAE.")
    return table.groupby(level="epoch").last().dropna(how="all")


def in_words(runs: Mapping[str, pd.DataFrame]) -> str:
    """One sentence: means over the runs, in parentheses the least and the greatest."""
    last = pd.DataFrame([run.iloc[-1] for run in runs.values()])
    best = [run["L_v"].max() for run in runs.values()]
    epochs = " and ".join(
        str(epoch) for epoch in sorted({int(run.index[int(run["L_v"].argmax())]) for run in runs.values()})
    )
    lengths = " and ".join(str(length) for length in sorted({int(run.index[-1]) for run in runs.values()}))
    noisy = f", on noisy ones {_spread(last['r_noisy'], 2)}" if "r_noisy" in last else ""
    return (
        f"After {lengths} epochs ({_count(len(runs))}) the audio responsibility is {_spread(last['r_clean'], 2)} on "
        f"clean frames{noisy}, and pi is {_spread(last['pi'], 2)}; the bound of the visual branch is "
        f"{_spread(last['L_v'], 0)} nats a frame, and was {_spread(pd.Series(best), 0)} at its best (epoch {epochs})."
    )


def _count(trainings: int) -> str:
    return "one training" if trainings == 1 else f"{trainings} trainings"


def _spread(values: pd.Series, digits: int) -> str:
    mean, low, high = (f"{value:.{digits}f}" for value in (values.mean(), values.min(), values.max()))
    return f"{mean} ({low}..{high})" if len(values) > 1 else mean


def collapse_figure(runs: Mapping[str, pd.DataFrame]) -> Figure:
    """One panel for responsibility and pi, one for each branch; thin lines are runs, thick ones their mean."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
        for column, (label, (colour, dash)) in lines.items():
            having = [run[column] for run in runs.values() if column in run]
            for run in having:
                axes.plot(run.index, run, color=colour, linewidth=0.7, alpha=0.5)
            if having:
                mean = pd.concat(having, axis=1).mean(axis=1)
                axes.plot(mean.index, mean, color=colour, linestyle=dash, linewidth=2.2, label=label)
        axes.set(xlabel="epoch", title=title)
        axes.title.set_fontsize("medium")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    figure.axes[0].set_ylim(-0.04, 1.04)
    return figure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
