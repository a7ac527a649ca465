"""How a training went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from minvae_pyro.errors import UserError
from minvae_pyro.plots.style import line_style, save_figure

_MUCH = 5  # times the reach of the later epochs


def training_figure(metrics: pd.DataFrame) -> Figure:
    """Draw how a training went: one panel for each quantity, one line for each split.

    Where the first third of the epochs would press the rest into a flat line, the axis reaches over the rest only.

    Args:
        metrics: A column `epoch` and columns of numbers named `split/quantity`, such as `train/elbo` and
            `validation/elbo`; a name without a slash is a quantity of its own. Empty cells are left out, as Lightning's
            CSV logger writes training and validation in different rows; several values of one epoch are averaged.

    Raises:
        UserError: There is no column `epoch`, or nothing beside it.
    """
    if "epoch" not in metrics:
        raise UserError("cannot draw a training without a column 'epoch': give the metrics that it logged")
    columns = metrics.drop(columns="step", errors="ignore").select_dtypes("number")
    epochs = columns.groupby("epoch").mean().dropna(axis="columns", how="all")
    if epochs.columns.empty:
        raise UserError("cannot draw a training without any numbers beside 'epoch'")
    panels: dict[str, dict[str, pd.Series]] = {}
    for name in epochs.columns:
        split, _, quantity = str(name).rpartition("/")
        panels.setdefault(quantity, {})[split] = epochs[name].dropna()

    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(4.2 * across, 2.9 * down), layout="constrained")
    for place, (quantity, lines) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(down, across, place)
        for number, (split, line) in enumerate(lines.items()):
            axes.plot(line.index, line, label=split, **line_style(number) | {"marker": "."})
        axes.set(xlabel="epoch", title=quantity.replace("_", " "))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        _leave_the_start_out(axes, list(lines.values()))
        if any(lines):
            axes.legend()
    return figure


def _leave_the_start_out(axes: Axes, lines: Sequence[pd.Series]) -> None:
    """Let the axis reach over the last two thirds of the epochs, if all of them reach much further."""
    late = pd.concat([line.iloc[len(line) // 3 :] for line in lines])
    every = pd.concat(lines)
    reach = late.max() - late.min()
    if every.max() - every.min() > _MUCH * reach > 0:
        axes.set_ylim(late.min() - 0.1 * reach, late.max() + 0.1 * reach)


def draw_run(output: Path) -> Path:
    """Draw what a run logged, over all times that it was continued, as the new `training.png` of its folder.

    Raises:
        UserError: Nothing was logged there.
    """
    metrics = pd.DataFrame()
    logs = output.glob("csv/version_*/metrics.csv")
    for log in sorted(logs, key=lambda file: int(file.parent.name.removeprefix("version_"))):
        stretch = pd.read_csv(log)
        # it began after the last complete epoch, or over again
        earlier = metrics[metrics["epoch"] < stretch["epoch"].min()] if len(metrics) else metrics
        metrics = pd.concat([earlier, stretch], ignore_index=True)
    if metrics.empty:
        raise UserError(f"{output} has no metrics to draw: give the folder of a run of minvae train.")
    return save_figure(training_figure(metrics), output / "training.png", overwrite=True)
