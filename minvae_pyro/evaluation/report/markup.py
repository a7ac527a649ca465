"""Tables as text: Markdown for a page, LaTeX for a paper."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from minvae_pyro.evaluation.metrics import quantity

_NUMBERS = {"metric", "mean", "difference", "low", "high", "count", "missing", "better", "p", "p_holm"}
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)

_SIGNED = re.compile(r"(?<![\w.-])([+-]\d+(?:\.\d+)?)")


def laid_out(result: pd.DataFrame) -> pd.DataFrame:
    """Lay a result out for readers: a row for each group, a column for each metric, numbers as text.

    Args:
        result: of :func:`minvae_pyro.evaluation.tables.summary` or :func:`minvae_pyro.evaluation.tables.paired`.

    Returns:
        The columns that make groups, ``mixtures``, and one for each metric with mean (or difference), interval,
        in a comparison the corrected p-value, and how many mixtures count where some do not.
    """
    groups = [str(column) for column in result if column not in _NUMBERS]
    comparison = "difference" in result
    headings = {metric: _metric_heading(str(metric), comparison) for metric in dict.fromkeys(result["metric"])}
    rows: list[dict[str, str]] = []
    for _, part in result.groupby(groups, sort=False, dropna=False) if groups else [((), result)]:
        row = {_heading(column): _cell(part.iloc[0][column]) for column in groups}
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
    names = _names(table)
    rule = ["---" if column in names else "--:" for column in table]
    rows = [[str(cell).replace("|", r"\|") for cell in row] for row in _rows(table)]
    return "".join(f"| {' | '.join(row)} |\n" for row in [rows[0], rule, *rows[1:]])


def to_latex(result: pd.DataFrame) -> str:
    """A summary or comparison as a LaTeX table (package booktabs)."""
    table = laid_out(result)
    names = _names(table)
    header, *rows = (_latex_row(row) for row in _rows(table))
    lines = [
        rf"\begin{{tabular}}{{{''.join('l' if column in names else 'r' for column in table)}}}",
        r"\toprule",
        header,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def p_text(p: float) -> str:
    """A p-value in words."""
    if math.isnan(p):
        return "no test"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _entry(entry: Mapping[Any, Any], comparison: bool, total: int) -> str:
    """Mean, interval, p-value and count of one cell."""
    if not entry["count"]:
        return "-"
    shown = quantity(entry["metric"])
    if comparison:
        shown = replace(shown, signed=True)
    text = shown.text(entry["difference" if comparison else "mean"])
    if not math.isnan(entry["low"]):
        text += f" ({shown.text(entry['low'])} to {shown.text(entry['high'])})"
    if comparison:
        text += f", {p_text(entry['p_holm'])}"
    return text if entry["count"] == total else f"{text}, {entry['count']} of {total}"


def _metric_heading(metric: str, comparison: bool) -> str:
    label = quantity(metric).label
    return label.replace(" gain", "") if comparison else label


def _heading(column: str) -> str:
    return {"snr_db": "SNR (dB)"}.get(column, column.removeprefix("factor:").replace("_", " "))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:g}"
    return str(value)


def _names(table: pd.DataFrame) -> list[str]:
    """Headings of the columns before that of the number of mixtures: names, not numbers."""
    headings = [str(column) for column in table]
    return headings[: headings.index("mixtures")]


def _rows(table: pd.DataFrame) -> list[list[Any]]:
    """The headings, then the rows."""
    return [list(table), *(list(row) for row in table.itertuples(index=False, name=None))]


def _latex_row(cells: Sequence[object]) -> str:
    escaped = (str(cell).translate(_LATEX).replace("<", "$<$") for cell in cells)
    # a hyphen is no minus
    return " & ".join(_SIGNED.sub(r"$\1$", text) for text in escaped) + r" \\"
