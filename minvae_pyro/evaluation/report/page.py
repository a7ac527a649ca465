"""The report of an experiment: one page with tables, figures and players, which needs no network."""

from __future__ import annotations

import base64
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from matplotlib.figure import Figure

from minvae_pyro.evaluation.metrics import quantity
from minvae_pyro.evaluation.report.figures import figures_of
from minvae_pyro.evaluation.report.markup import laid_out, value_text
from minvae_pyro.evaluation.report.players import listening_rows
from minvae_pyro.evaluation.report.results import Results, summarise
from minvae_pyro.evaluation.systems import INPUT
from minvae_pyro.evaluation.tables import values_in_order
from minvae_pyro.files import write_atomic
from minvae_pyro.plots.style import drawn

NAME = "report.html"
"""The page, in the folder of the experiment."""

MOST_LISTENED = 200
"""Mixtures that have players; of more, as many are spread evenly over the table."""

_SCORES = ("si_sdr", "pesq", "estoi")
_FILTERS = (("snr_db", "snr", "SNR", " dB"), ("talker", "talker", "talker", ""), ("noise", "noise", "noise", ""))


def write_html(
    table: pd.DataFrame,
    output: Path,
    *,
    title: str = "Evaluation",
    results: Results | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the page of an experiment: summaries, comparisons, figures, and players with filters.

    The page holds all but the sounds, to which it links where they lie in the folder of the experiment. It can be
    opened from there without a server.

    Args:
        table: of the experiment, see :func:`minvae_pyro.evaluation.experiment.evaluate`; levels of factors are drawn.
        output: folder of the experiment.
        title: of the page.
        results: of :func:`minvae_pyro.evaluation.report.results.summarise`, where they are known already.
        overwrite: replace a page that exists.

    Raises:
        UserError: a table without systems, or the page exists or cannot be written.
    """
    results = results or summarise(table)
    ours, before = table[table["system"] != INPUT], table[table["system"] == INPUT]
    ids = table["id"].unique()
    shown = ids if len(ids) <= MOST_LISTENED else [ids[len(ids) * n // MOST_LISTENED] for n in range(MOST_LISTENED)]
    heard = [quantity(metric).phrase(before[metric].mean()) for metric in _SCORES if before[metric].notna().any()]
    failures = table[table[list(_SCORES)].isna().any(axis=1)]
    failures = failures.assign(note=failures["note"].fillna("").replace("", "no reason is known"))
    content = {
        "title": title,
        "mixtures": len(ids),
        "systems": [INPUT, *ours["system"].unique()],
        "input": heard,
        "gains": _cells(results.gains),
        "splits": {name: _cells(split) for name, split in results.splits.items()},
        "baseline": results.baseline,
        "comparison": _cells(results.comparison) if len(results.comparison) else None,
        "figures": [{"caption": caption, "source": _embedded(draw(ours))} for _, caption, draw in figures_of(ours)],
        "failures": failures.to_dict("records"),
        "filters": [
            {"name": name, "label": label, "unit": unit, "values": [*map(value_text, values_in_order(table, column))]}
            for column, name, label, unit in _FILTERS
        ],
        "rows": listening_rows(table[table["id"].isin(shown)], output),
    }
    source = (resources.files("minvae_pyro.evaluation.report") / "page.html.jinja").read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
    return write_atomic(output / NAME, page.render(content).encode(), overwrite=overwrite)


def _embedded(figure: Figure) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn(figure, 'svg')).decode()}"


def _cells(result: pd.DataFrame) -> dict[str, Any]:
    """Headings, and rows of text; intervals and p-values have lines of their own."""
    table = laid_out(result)
    names = list(table).index("mixtures")
    rows = [
        [*row[:names], *(str(cell).replace(" (", "\n(").replace(", p ", "\np ") for cell in row[names:])]
        for row in table.itertuples(index=False, name=None)
    ]
    return {"headings": list(table), "names": names, "rows": rows}
