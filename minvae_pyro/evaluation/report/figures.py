"""Figures of an experiment: gains per signal-to-noise ratio and noise, distributions, effects of factors.

All take the table of an experiment (see :func:`minvae_pyro.evaluation.experiment.evaluate`). Points are means over
mixtures, bars their 95 % bootstrap intervals. The mixtures as they are, system ``input``, are left out: what is gained
over them is shown.

Matplotlib draws them by itself. Seaborn's ``catplot`` makes its figures in pyplot, whose state all threads share; its
``boxplot`` (0.13) passes an argument that Matplotlib deprecates since 3.11 and drops in 3.13; and its ``pointplot`` on
axes of our own, with the intervals of the tables, takes as many lines as the error bars here. What is long here it does
not spare: names of ticks, the legend above the panels, a line for each mixture.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
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
    """What can be drawn of an experiment: a name for the file, a caption, and the function that draws a table.

    Args:
        table: of the experiment.
    """
    for column in map(str, table):
        if column.startswith("factor:") and table[column].nunique() > 1:
            factor = column.removeprefix("factor:")
            yield figure_name(factor), f"Levels of {factor}", functools.partial(factor_figure, factor=factor)
    if table["snr_db"].nunique() > 1:
        yield "gain-per-snr", "Gain per signal-to-noise ratio of the input", gain_per_snr_figure
    if table["noise"].nunique() > 1:
        yield "gain-per-noise", "Gain per noise", gain_per_noise_figure
    yield "gain-over-mixtures", "Gain over mixtures: quartiles, median (line) and mean (diamond)", box_figure


def figure_name(factor: str) -> str:
    """The name of the file of the figure of a factor, without its suffix."""
    return f"factor-{re.sub(r'[^a-z0-9]+', '-', factor.lower()).strip('-')}"


def gain_per_snr_figure(table: pd.DataFrame, metrics: Sequence[str] = GAINS) -> Figure:
    """Draw gains per signal-to-noise ratio of the input: a panel for each metric, a line for each system.

    Args:
        table: of an experiment.
        metrics: columns of numbers.

    Returns:
        The figure, to be saved by :func:`minvae_pyro.plots.save_figure`.

    Raises:
        UserError: the table lacks a column, or systems.
    """
    return _lines(_enhanced(table), "snr_db", metrics, "system", "signal-to-noise ratio of the input")


def gain_per_noise_figure(table: pd.DataFrame, metrics: Sequence[str] = GAINS) -> Figure:
    """Draw gains per type of noise: a panel for each metric, a point for each system.

    Arguments and errors as for :func:`gain_per_snr_figure`.
    """
    return _lines(_enhanced(table), "noise", metrics, "system", "noise")


def box_figure(table: pd.DataFrame, metrics: Sequence[str] = GAINS) -> Figure:
    """Draw how scores are spread over mixtures: a panel for each metric, a box for each system.

    A box reaches from the lower to the upper quartile with a line at the median, whiskers to the last mixture within
    1.5 times the box, a diamond stands at the mean. Several rows of a mixture are averaged first.

    Arguments and errors as for :func:`gain_per_snr_figure`.
    """
    table = _enhanced(table)
    check_columns(table, ["id", "system", *metrics])
    names = values_in_order(table, "system")
    figure = Figure(figsize=(10, 1.0 + 0.32 * len(names)), layout="constrained")
    grid = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    for metric, axes in zip(metrics, grid, strict=True):
        values = [by_mixture(table[table["system"] == name], metric).dropna() for name in names]
        boxes = axes.boxplot(
            values,
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
        _zero_line(axes, metric, vertical=True)
        axes.set_xlabel(quantity(metric).label)
        axes.grid(axis="x", alpha=0.3)
    grid[0].set_yticks(range(1, len(names) + 1), names)
    grid[0].invert_yaxis()
    return figure


def factor_figure(table: pd.DataFrame, factor: str, metrics: Sequence[str] = GAINS, *, by: str | None = None) -> Figure:
    """Draw what the levels of a factor do: a panel for each metric, levels side by side.

    Behind the means stands a thin line for each mixture, averaged over all else, where there are no groups.

    Args:
        table: of an ablation.
        factor: its name, as in the column ``factor:NAME``; or any other column.
        metrics: columns of numbers.
        by: column of groups, each with points of its own: ``talker``, ``noise`` or ``snr_db``.

    Returns:
        The figure, to be saved by :func:`minvae_pyro.plots.save_figure`.

    Raises:
        UserError: the table lacks a column, or systems.
    """
    column = f"factor:{factor}" if f"factor:{factor}" in table else factor
    return _lines(_enhanced(table), column, metrics, by, factor.replace("_", " "), mixtures=by is None)


def _lines(
    table: pd.DataFrame, across: str, metrics: Sequence[str], of: str | None, label: str, mixtures: bool = False
) -> Figure:
    """Means with intervals over the values of a column, for each value of another; as lines where they are numbers."""
    check_columns(table, ["id", across, *metrics, *([] if of is None else [of])])
    places = {value: place for place, value in enumerate(values_in_order(table, across))}
    names = [None] if of is None else values_in_order(table, of)
    numeric = pd.api.types.is_numeric_dtype(table[across])
    ticks = [_shown(across, value) for value in places]
    stacked = len(places) > _MOST_SIDE_BY_SIDE
    size = (10, 0.8 + 2.3 * len(metrics)) if stacked else (10, 3.6 if len(names) <= 8 else 4.2)
    figure = Figure(figsize=size, layout="constrained")
    shape = (len(metrics), 1) if stacked else (1, len(metrics))
    grid = figure.subplots(*shape, squeeze=False, sharex=True).flatten()
    for axes, metric in zip(grid, metrics, strict=True):
        if mixtures:
            _draw_mixtures(axes, table, across, metric, list(places))
        for number, name in enumerate(names):
            rows = table if name is None else table[table[of] == name]
            means = summary(rows, [across], [metric])
            # side by side, or the bars would hide each other
            shift = _SPREAD * ((number + 0.5) / len(names) - 0.5)
            at = means[across].map(places).to_numpy(dtype=float) + shift
            reach = np.nan_to_num([means["mean"] - means["low"], means["high"] - means["mean"]])
            look = line_style(number) if numeric else line_style(number) | {"linestyle": "none"}
            text = None if name is None else _shown(str(of), name)
            axes.errorbar(at, means["mean"], reach, label=text, capsize=2, markersize=4, linewidth=1.2, **look)
        _zero_line(axes, metric)
        crowded = max(map(len, ticks)) > (110 if stacked else 30) / len(ticks)
        axes.set_xticks(range(len(places)), ticks, rotation=40 if crowded else 0, ha="right" if crowded else "center")
        for border in range(1, len(places)):
            axes.axvline(border - 0.5, color=GREY, alpha=0.3, linewidth=0.6)
        axes.set_xlim(-0.6, len(places) - 0.4)
        axes.set_title(quantity(metric).label, fontsize="medium")
        axes.grid(axis="y", alpha=0.3)
    figure.supxlabel(label, fontsize="medium")
    if of is not None:
        _legend(figure, grid[0])
    return figure


def _draw_mixtures(axes: Axes, table: pd.DataFrame, across: str, metric: str, values: Sequence[object]) -> None:
    """A thin line for each mixture from value to value."""
    levels = pd.DataFrame({value: by_mixture(table[table[across] == value], metric) for value in values})
    axes.plot(range(len(values)), levels.to_numpy().T, color=GREY, alpha=0.35, linewidth=0.6, zorder=1)


def _zero_line(axes: Axes, metric: str, vertical: bool = False) -> None:
    """Where nothing is gained."""
    if quantity(metric).signed:
        (axes.axvline if vertical else axes.axhline)(0, color=BLACK, linewidth=0.8)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    columns = max(1, min(len(labels), _LEGEND_WIDTH // (max(map(len, labels)) + 5)))
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False, fontsize="small")


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
