"""The report of an ablation: a page in Markdown with its tables and figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from minvae_pyro.ablation.design import Ablation
from minvae_pyro.ablation.effects import SHOWN, averaged, by_level, decide_claims, main_effects, verdict
from minvae_pyro.evaluation.metrics import column, quantity
from minvae_pyro.evaluation.report.figures import factor_figure
from minvae_pyro.evaluation.tables import summary, to_markdown
from minvae_pyro.files import make_folder, write_atomic
from minvae_pyro.plots import save_figure

FILES = ("ablation.md", "effects.csv", "claims.csv")
"""What :func:`write_findings` writes, besides figures."""

_PROPERTIES = {"noise": "noise", "snr_db": "signal-to-noise ratio (dB)"}


def write_findings(table: pd.DataFrame, ablation: Ablation, output: Path, command: str = "") -> str:
    """Write ``ablation.md``, ``effects.csv``, ``claims.csv`` and a figure for each factor, over those of before.

    Args:
        table: of the experiment.
        ablation: of which.
        output: folder.
        command: that was given, told on the page.

    Returns:
        The page.

    Raises:
        UserError: the folder cannot be written into.
    """
    means = averaged(table, ablation)
    effects, claims = main_effects(means, ablation), decide_claims(means, ablation)
    make_folder(output / "figures")
    comparable = _comparable(means, ablation)
    for factor, rows in comparable.items():
        figure = factor_figure(rows, factor, by="talker")
        save_figure(figure, output / "figures" / figure_name(factor), overwrite=True)
    page = _page(means, ablation, comparable, effects, claims, command)
    contents = page, effects.to_csv(index=False), claims.to_csv(index=False)
    for name, content in zip(FILES, contents, strict=True):
        write_atomic(output / name, content.encode(), overwrite=True)
    return page


def figure_name(factor: str) -> str:
    """The file of the figure of a factor."""
    return f"factor-{re.sub(r'[^a-z0-9]+', '-', factor.lower()).strip('-')}.png"


def claims_table(claims: pd.DataFrame) -> str:
    """What became of each claim, in Markdown: a verdict and the differences for each talker.

    Args:
        claims: of :func:`minvae_pyro.ablation.effects.decide_claims`.
    """
    talkers = list(dict.fromkeys(claims["talker"]))
    lines = [_line(["claim", *(f"talker {talker}" for talker in talkers)]), _line(["---"] * (1 + len(talkers)))]
    for (text, source), of_claim in claims.groupby(["claim", "source"], sort=False):
        cells = [f"{text} ({source})" if source else str(text)]
        for talker in talkers:
            of_talker = of_claim[of_claim["talker"] == talker]
            cells.append(f"**{verdict(list(of_talker['holds']))}**: {'; '.join(_against(of_talker))}")
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _against(comparisons: pd.DataFrame) -> list[str]:
    """Differences to each rival in words."""
    found = []
    for than, rows in comparisons.groupby("than", sort=False):
        parts = []
        for row in rows.to_dict("records"):
            shown = quantity(str(row["metric"]))
            middle, low, high = (f"{row[key]:+.{shown.digits}f}" for key in ("difference", "low", "high"))
            parts.append(f"{shown.label.replace(' gain', '')} {middle} ({low} to {high})")
        found.append(f"against {than}: {', '.join(parts)}")
    return found


def _page(
    means: pd.DataFrame,
    ablation: Ablation,
    comparable: Mapping[str, pd.DataFrame],
    effects: pd.DataFrame,
    claims: pd.DataFrame,
    command: str,
) -> str:
    mixtures, measured = means["id"].nunique(), len(ablation.combinations())
    over = f", each the mean over {', '.join(ablation.replicates)}" if ablation.replicates else ""
    text = [
        f"# {ablation.title}",
        "",
        *([f"    {command}", ""] if command else []),
        f"{measured} combinations on {mixtures} mixtures{over}. Gains are over the noisy input; in parentheses are "
        "95 % intervals of the bootstrap over mixtures. Changes are against the first level of a factor, "
        f"{_others(ablation)}, mixture by mixture; p-values are of Wilcoxon's signed-rank test, Holm-corrected over "
        "this page.",
    ]
    if len(claims):
        text += ["", "## Claims", "", claims_table(claims).rstrip()]
    for factor, rows in comparable.items():
        text += ["", f"## {factor.capitalize()}", "", f"![{factor}](figures/{figure_name(factor)})", ""]
        text.append(to_markdown(summary(rows, ["talker", column(factor)], SHOWN)).rstrip())
        changes = effects[effects["factor"] == factor] if len(effects) else effects
        if len(changes):
            text += ["", f"Changes against {ablation.reference[factor]}:", ""]
            ordered = changes.sort_values(
                "talker", key=lambda talker: talker.map(_place(means["talker"])), kind="stable"
            )
            text.append(to_markdown(ordered[["talker", *ordered.drop(columns=["talker", "factor"])]]).rstrip())
    if ablation.design != "one-at-a-time":
        factors = [column(factor) for factor in ablation.factors]
        text += ["", "## All combinations", "", to_markdown(summary(means, ["talker", *factors], SHOWN)).rstrip()]
    for name in ablation.by:
        if name != "talker":
            text += ["", f"## By {_PROPERTIES[name]}", "", _wide(means, ablation, name).rstrip()]
    return "\n".join(text) + "\n"


def _comparable(means: pd.DataFrame, ablation: Ablation) -> dict[str, pd.DataFrame]:
    """For each factor whose levels can be compared the rows of its levels."""
    found = {factor: by_level(means, ablation, factor) for factor in ablation.factors}
    return {factor: rows for factor, rows in found.items() if len(rows)}


def _others(ablation: Ablation) -> str:
    """What the other factors do while one changes."""
    if len(ablation.factors) == 1:
        return "the only factor"
    return "averaged over the other factors" if ablation.design == "full" else "the other factors at their first levels"


def _place(values: Iterable[object]) -> dict[object, int]:
    """The place of each value in the order of first appearance."""
    return {value: place for place, value in enumerate(dict.fromkeys(values))}


def _wide(means: pd.DataFrame, ablation: Ablation, by: str) -> str:
    """Every combination by a property of the mixtures; a row for whatever there is more of."""
    factors = [column(factor) for factor in ablation.factors if means[column(factor)].nunique() > 1]
    combinations = means[factors].agg(", ".join, axis=1) if factors else pd.Series("all", means.index)
    found = summary(means.assign(combination=combinations, property=means[by]), ["talker", "combination", "property"])
    values, kinds = sorted(found["property"].unique()), list(dict.fromkeys(found["combination"]))
    scores = list(dict.fromkeys(found["metric"]))
    rows, columns = (values, kinds) if len(values) > len(kinds) else (kinds, values)
    across = "combination" if columns is kinds else "property"
    named = ["talker", _PROPERTIES[by] if rows is values else ", ".join(_plain(factors))]
    lines = [_line([*named, *_plain(columns)]), _line(["---"] * len(named) + ["--:"] * len(columns))]
    for talker, of_talker in found.groupby("talker", sort=False):
        for row in rows:
            here = of_talker[of_talker["property" if across == "combination" else "combination"] == row]
            cells = []
            for value in columns:
                cell = here[here[across] == value].set_index("metric")["mean"]
                cells.append(" / ".join(quantity(score).text(cell[score]) for score in scores) if len(cell) else "-")
            if any(cell != "-" for cell in cells):
                lines.append(_line([str(talker), *_plain([row]), *cells]))
    return " / ".join(quantity(score).label for score in scores) + "\n\n" + "\n".join(lines) + "\n"


def _plain(values: Iterable[object]) -> list[str]:
    return [f"{value:g}" if isinstance(value, float) else str(value).removeprefix("factor:") for value in values]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
