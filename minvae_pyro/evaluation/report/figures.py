"""Figures of an experiment: gains per signal-to-noise ratio and noise, distributions, effects of factors.

All take the table of :func:`minvae_pyro.evaluation.experiment.evaluate`. Points are means over mixtures, bars their 95%
bootstrap intervals. System ``input``, the mixtures as they are, is left out: what is gained over it is shown.

Matplotlib draws them by itself: Seaborn's ``catplot`` uses pyplot, whose state all threads share, its ``boxplot``
(0.13) an argument that Matplotlib drops in 3.13, and its ``pointplot`` with our intervals takes as many lines.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.metrics import GAINS, quantity
from minvae_pyro.evaluation.systems import INPUT
from minvae_pyro.evaluation.tables import by_mixture, check_columns, summary, values_in_order
from minvae_pyro.plots.style import BLACK, GREY, line_style

_SPREAD = 0.6  # of the room between two places that the points of different systems share
_MOST_SIDE_BY_SIDE = 8  # places on an axis, until panels need the width of the page
_LEGEND_WIDTH = 95  # letters in a line of the legend, about


def figures_of(table: pd.DataFrame) -> Iterator[tuple[str, str, Callable[[pd.DataFrame], Figure]]]:
    """What can be drawn of an experiment: a name for the file, a caption, and the function that draws a table."""
    for column in map(str, table):
        if column.startswith("factor:") and table[column].nunique() > 1:
            factor = column.removeprefix("factor:")
            yield figure_name(factor), f"Levels of {factor}", functools.partial(level_figure, column=column)
    gains = {"snr_db": ("snr", "signal-to-noise ratio of the input"), "noise": ("noise", "noise")}
    for column, (short, name) in gains.items():
        if table[column].nunique() > 1:
            draw = functools.partial(level_figure, column=column, of="system")
            yield f"gain-per-{short}", f"Gain per {name}", draw
    yield "gain-over-mixtures", "Gain over mixtures: quartiles, median (line) and mean (diamond)", box_figure


def figure_name(factor: str) -> str:
    """The name of the file of the figure of a factor, without its suffix."""
    return f"factor-{re.sub(r'[^a-z0-9]+', '-', factor.lower()).strip('-')}"


def box_figure(table: pd.DataFrame, metrics: Sequence[str] = GAINS) -> Figure:
    """Draw how scores are spread over mixtures: a panel for each metric, a box for each system.

    A box reaches from the lower to the upper quartile with a line at the median, whiskers to the last mixture within
    1.5 times the box, a diamond stands at the mean. Several rows of a mixture are averaged first.

    Arguments and errors as for :func:`level_figure`.
    """
    table = _enhanced(table)
    check_columns(table, ["id", "system", *metrics])
    names = values_in_order(table, "system")
    figure = Figure(figsize=(10, 1.0 + 0.32 * len(names)), layout="constrained")
    grid = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    for metric, axes in zip(metrics, grid, strict=True):
        boxes = axes.boxplot(
            [by_mixture(table[table["system"] == name], metric).dropna() for name in names],
            orientation="horizontal",
            widths=0.6,
            patch_artist=True,
            showmeans=True,
            medianprops={"color": BLACK, "linewidth": 1.5},
            meanprops={"marker": "D", "markersize": 4, "markerfacecolor": "white", "markeredgecolor": BLACK},
            flierprops={"marker": ".", "markersize": 4, "markeredgecolor": GREY, "markerfacecolor": GREY},
        )
        for number, box in enumerate(boxes["boxes"]):
            box.set(facecolor=line_style(number)["color"], alpha=0.55)
        if quantity(metric).signed:
            axes.axvline(0, color=BLACK, linewidth=0.8)
        axes.set_xlabel(quantity(metric).label)
        axes.grid(axis="x", alpha=0.3)
    grid[0].set_yticks(range(1, len(names) + 1), names)
    grid[0].invert_yaxis()
    return figure


def level_figure(table: pd.DataFrame, column: str, metrics: Sequence[str] = GAINS, *, of: str | None = None) -> Figure:
    """Draw scores over the values of a column: a panel for each metric, values side by side.

    Points of numbers are joined by lines. Behind them stands, where there are no groups, a thin line for each mixture,
    averaged over all else.

    Args:
        table: of an experiment.
        column: such as ``snr_db``, ``noise``, or ``factor:NAME`` of an ablation.
        metrics: columns of numbers.
        of: column of groups, each with points of its own: ``system``, ``talker``, ``noise`` or ``snr_db``.

    Raises:
        UserError: the table lacks a column, or systems.
    """
    table = _enhanced(table)
    check_columns(table, ["id", column, *metrics, *([of] if of else [])])
    places = {value: place for place, value in enumerate(values_in_order(table, column))}
    groups = {_shown(of, name): table[table[of] == name] for name in values_in_order(table, of)} if of else {"": table}
    numeric = pd.api.types.is_numeric_dtype(table[column])
    ticks = [_shown(column, value) for value in places]
    stacked = len(places) > _MOST_SIDE_BY_SIDE
    size = (10, 0.8 + 2.3 * len(metrics)) if stacked else (10, 3.6 if len(groups) <= 8 else 4.2)
    figure = Figure(figsize=size, layout="constrained")
    shape = (len(metrics), 1) if stacked else (1, len(metrics))
    grid = figure.subplots(*shape, squeeze=False, sharex=True).flatten()
    for axes, metric in zip(grid, metrics, strict=True):
        if not of:
            lines = pd.DataFrame({value: by_mixture(table[table[column] == value], metric) for value in places})
            axes.plot(range(len(places)), lines.to_numpy().T, color=GREY, alpha=0.35, linewidth=0.6, zorder=1)
        for number, (name, rows) in enumerate(groups.items()):
            means = summary(rows, [column], [metric])
            # side by side, or the bars would hide each other
            shift = _SPREAD * ((number + 0.5) / len(groups) - 0.5)
            at = means[column].map(places).to_numpy(dtype=float) + shift
            reach = np.nan_to_num([means["mean"] - means["low"], means["high"] - means["mean"]])
            look = line_style(number) if numeric else line_style(number) | {"linestyle": "none"}
            axes.errorbar(at, means["mean"], reach, label=name, capsize=2, markersize=4, linewidth=1.2, **look)
        if quantity(metric).signed:
            axes.axhline(0, color=BLACK, linewidth=0.8)
        crowded = max(map(len, ticks)) > (110 if stacked else 30) / len(ticks)
        axes.set_xticks(range(len(places)), ticks, rotation=40 if crowded else 0, ha="right" if crowded else "center")
        for border in range(1, len(places)):
            axes.axvline(border - 0.5, color=GREY, alpha=0.3, linewidth=0.6)
        axes.set_xlim(-0.6, len(places) - 0.4)
        axes.set_title(quantity(metric).label, fontsize="medium")
        axes.grid(axis="y", alpha=0.3)
    label = "signal-to-noise ratio of the input" if column == "snr_db" else column.removeprefix("factor:")
    figure.supxlabel(label.replace("_", " "), fontsize="medium")
    if of:
        columns = max(1, min(len(groups), _LEGEND_WIDTH // (max(map(len, groups)) + 5)))
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False, fontsize="small")
    return figure


def _shown(column: str, value: object) -> str:
    if column == "snr_db" and isinstance(value, float | int):
        return f"{value:+g} dB" if value else "0 dB"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _enhanced(table: pd.DataFrame) -> pd.DataFrame:
    """All but the mixtures as they are."""
    rows = table[table["system"] != INPUT] if "system" in table else table
    if rows.empty:
        raise UserError("there is nothing to draw but the input: evaluate at least one system.")
    return rows
