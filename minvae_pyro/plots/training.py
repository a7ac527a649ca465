"""How a training went."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from minvae_pyro.errors import UserError
from minvae_pyro.plots.style import BLUE, GREEN, GREY, VERMILLION


def training_figure(metrics: pd.DataFrame) -> Figure:
    """Draw how a training went: one panel for each quantity, one line for each split.

    Args:
        metrics: A column `epoch` and columns of numbers named `split/quantity`, such as `train/elbo` and
            `validation/elbo`; a name without a slash is a quantity of its own. Empty cells are left out, as
            Lightning's CSV logger writes training and validation in different rows; several values of one
            epoch are averaged.

    Returns:
        The figure, to be saved by `save_figure`.

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
        for (split, line), colour, dash in zip(
            lines.items(), (BLUE, VERMILLION, GREEN, GREY), ("-", "--", "-.", ":"), strict=False
        ):
            axes.plot(line.index, line, color=colour, linestyle=dash, marker=".", label=split)
        axes.set(xlabel="epoch", title=quantity.replace("_", " "))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if any(lines):
            axes.legend()
    return figure
