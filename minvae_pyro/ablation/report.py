"""The report of an ablation: a page in Markdown with its tables and figures."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from minvae_pyro.ablation.design import Ablation
from minvae_pyro.ablation.effects import SHOWN, averaged, comparable, decide_claims, main_effects, verdict
from minvae_pyro.corpora.spreadsheets import csv_bytes
from minvae_pyro.evaluation.metrics import column, quantity
from minvae_pyro.evaluation.report.figures import figure_name, level_figure
from minvae_pyro.evaluation.report.markup import markdown, to_markdown, value_text
from minvae_pyro.evaluation.tables import summary
from minvae_pyro.files import make_folder, write_atomic
from minvae_pyro.plots import save_figure

FILES = ("ablation.md", "effects.csv", "claims.csv")
"""What :func:`write_report` writes, besides figures."""

_PROPERTIES = {"noise": "noise", "snr_db": "signal-to-noise ratio (dB)"}


def write_report(table: pd.DataFrame, ablation: Ablation, output: Path, command: str = "") -> str:
    """Write ``ablation.md``, ``effects.csv``, ``claims.csv`` and a figure for each factor, over those of before.

    The page, which shows the command that was given, is returned.

    Raises:
        UserError: the folder cannot be written into.
    """
    means = averaged(table, ablation)
    effects, claims = main_effects(means, ablation), decide_claims(means, ablation)
    make_folder(output / "figures")
    replicates = f", each the mean over {', '.join(ablation.replicates)}" if ablation.replicates else ""
    blocks = [
        f"# {ablation.title}",
        f"    {command}" if command else "",
        f"{len(ablation.combinations())} combinations on {means['id'].nunique()} mixtures{replicates}. Gains are over "
        "the noisy input; in parentheses are 95 % intervals of the bootstrap over mixtures. Changes are against the "
        f"first level of a factor, {_others(ablation)}, mixture by mixture; p-values are of Wilcoxon's signed-rank "
        "test, Holm-corrected over this page.",
    ]
    if len(claims):
        blocks += ["## Claims", claims_table(claims)]
    for factor in ablation.factors:
        rows = comparable(means, ablation, factor)
        if len(rows):
            figure = f"figures/{figure_name(factor)}.png"
            save_figure(level_figure(rows, column(factor), of="talker"), output / figure, overwrite=True)
            blocks += [f"## {factor.capitalize()}", f"![{factor}]({figure})"]
            blocks.append(to_markdown(summary(rows, ["talker", column(factor)], SHOWN)))
        changes = effects[effects["factor"] == factor] if len(effects) else effects
        if len(changes):
            ordered = pd.concat(changes[changes["talker"] == talker] for talker in means["talker"].unique())
            shown = to_markdown(ordered[["talker", *ordered.drop(columns=["talker", "factor"])]])
            blocks += [f"Changes against {ablation.reference[factor]}:", shown]
    if ablation.design != "one-at-a-time":
        combinations = summary(means, ["talker", *map(column, ablation.factors)], SHOWN)
        blocks += ["## All combinations", to_markdown(combinations)]
    for by in ablation.by:
        if by != "talker":
            blocks += [f"## By {_PROPERTIES[by]}", _wide(means, ablation, by)]
    page = "\n\n".join(block.rstrip() for block in blocks if block) + "\n"
    contents = page.encode(), csv_bytes(effects), csv_bytes(claims)
    for name, content in zip(FILES, contents, strict=True):
        write_atomic(output / name, content, overwrite=True)
    return page


def claims_table(claims: pd.DataFrame) -> str:
    """Claims as :func:`decide_claims` returns them in Markdown: a verdict and the differences for each talker."""
    rows = []
    for (text, source), of_claim in claims.groupby(["claim", "source"], sort=False):
        row = {"claim": f"{text} ({source})" if source else str(text)}
        for talker, rivals in of_claim.groupby("talker", sort=False):
            row[f"talker {talker}"] = f"**{verdict(list(rivals['holds']))}**: {'; '.join(_against(rivals))}"
        rows.append(row)
    table = pd.DataFrame(rows).fillna("-")
    return markdown(table, table.shape[1])


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


def _others(ablation: Ablation) -> str:
    """What the other factors do while one changes."""
    if len(ablation.factors) == 1:
        return "the only factor"
    return "averaged over the other factors" if ablation.design == "full" else "the other factors at their first levels"


def _wide(means: pd.DataFrame, ablation: Ablation, by: str) -> str:
    """Every combination by a property of the mixtures; a row for whatever there is more of."""
    factors = [column(factor) for factor in ablation.factors if means[column(factor)].nunique() > 1]
    combinations = means[factors].agg(", ".join, axis=1) if factors else pd.Series("all", means.index)
    found = summary(means.assign(combination=combinations, property=means[by]), ["talker", "combination", "property"])
    found["text"] = [quantity(metric).text(mean) for metric, mean in zip(found["metric"], found["mean"], strict=True)]
    cells = found.groupby(["talker", "combination", "property"])["text"].agg(" / ".join)
    kinds, values = list(dict.fromkeys(found["combination"])), sorted(found["property"].unique())
    long = len(values) > len(kinds)
    rows, columns = (values, kinds) if long else (kinds, values)
    index = pd.MultiIndex.from_product([dict.fromkeys(found["talker"]), rows])
    wide = cells.unstack("combination" if long else "property").reindex(index=index, columns=columns)
    table = wide.dropna(how="all").fillna("-").reset_index()
    factors = [factor.removeprefix("factor:") for factor in factors]
    table.columns = pd.Index(["talker", _PROPERTIES[by] if long else ", ".join(factors), *map(value_text, columns)])
    labels = [quantity(metric).label for metric in dict.fromkeys(found["metric"])]
    return f"{' / '.join(labels)}\n\n{markdown(table.map(value_text), 2)}"
