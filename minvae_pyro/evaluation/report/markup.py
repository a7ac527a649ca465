"""Tables as text: Markdown for a page (pandas with tabulate), LaTeX for a paper (pandas with Jinja)."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from minvae_pyro.evaluation.metrics import quantity

_NUMBERS = {"metric", "mean", "difference", "low", "high", "count", "missing", "better", "p", "p_holm"}
_SIGNED = re.compile(r"(?<![\w.-])([+-]\d+(?:\.\d+)?)")


def laid_out(result: pd.DataFrame) -> pd.DataFrame:
    """Lay a result out for readers: a row for each group, a column for each metric, numbers as text.

    The result is of :func:`minvae_pyro.evaluation.tables.summary` or :func:`minvae_pyro.evaluation.tables.paired`. Its
    columns that make groups are followed by ``mixtures``, and one for each metric with mean (or difference), interval,
    in a comparison the corrected p-value, and how many mixtures count where some do not.
    """
    groups = [str(column) for column in result if column not in _NUMBERS]
    comparison = "difference" in result
    labels = {metric: quantity(metric).label for metric in result["metric"].unique()}
    headings = {metric: label.replace(" gain", "") if comparison else label for metric, label in labels.items()}
    rows: list[dict[str, str]] = []
    for _, part in result.groupby(groups, sort=False, dropna=False) if groups else [((), result)]:
        row = {_heading(column): value_text(part.iloc[0][column]) for column in groups}
        total = int((part["count"] + part["missing"]).max())
        row["mixtures"] = str(total)
        for entry in part.to_dict("records"):
            row[headings[entry["metric"]]] = _entry(entry, comparison, total)
        rows.append(row)
    columns = [*map(_heading, groups), "mixtures", *headings.values()]
    return pd.DataFrame(rows, columns=columns).fillna("-")


def to_markdown(result: pd.DataFrame) -> str:
    """A summary or comparison as a Markdown table; numbers are aligned to the right."""
    table = laid_out(result)
    return markdown(table, list(table).index("mixtures"))


def markdown(table: pd.DataFrame, names: int) -> str:
    """Text as a Markdown table; so many columns of names are aligned to the left, all others to the right."""
    no_bar = operator.methodcaller("replace", "|", r"\|")  # tabulate lets a bar in a cell end the cell
    escaped = table.map(no_bar).rename(columns=no_bar)
    align = ["left"] * names + ["right"] * (table.shape[1] - names)
    return f"{escaped.to_markdown(index=False, disable_numparse=True, colalign=align)}\n"


def to_latex(result: pd.DataFrame) -> str:
    """A summary or comparison as a LaTeX table (package booktabs)."""
    table = laid_out(result)
    names = list(table).index("mixtures")
    style = table.style.hide(axis="index").format(_latex_numbers, escape="latex").format_index(escape="latex", axis=1)
    return str(style.to_latex(hrules=True, column_format="l" * names + "r" * (table.shape[1] - names)))


def value_text(value: object) -> str:
    """A value of a column that makes groups, such as a name or a ratio in dB."""
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:g}"
    return str(value)


def _entry(entry: Mapping[Any, Any], comparison: bool, total: int) -> str:
    """Mean, interval, p-value and count of one cell."""
    if not entry["count"]:
        return "-"
    shown = replace(quantity(entry["metric"]), signed=True) if comparison else quantity(entry["metric"])
    text = shown.text(entry["difference" if comparison else "mean"])
    if not math.isnan(entry["low"]):
        text += f" ({shown.text(entry['low'])} to {shown.text(entry['high'])})"
    if comparison:
        p = entry["p_holm"]
        text += ", no test" if math.isnan(p) else ", p < 0.001" if p < 0.001 else f", p = {p:.3f}"
    return text if entry["count"] == total else f"{text}, {entry['count']} of {total}"


def _heading(column: str) -> str:
    return {"snr_db": "SNR (dB)"}.get(column, column.removeprefix("factor:").replace("_", " "))


def _latex_numbers(text: object) -> str:
    """Signs in mathematics: a hyphen is no minus, and text has no less-than in every encoding of LaTeX."""
    return _SIGNED.sub(r"$\1$", str(text).replace("<", "$<$"))
