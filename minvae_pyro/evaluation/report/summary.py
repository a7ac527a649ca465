"""Outputs of an experiment: summaries in Markdown and LaTeX, figures, and the report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from minvae_pyro.evaluation.metrics import GAINS
from minvae_pyro.evaluation.pitch_errors import PITCH_ERRORS
from minvae_pyro.evaluation.report.figures import figures_of
from minvae_pyro.evaluation.report.markup import to_latex, to_markdown
from minvae_pyro.evaluation.report.page import NAME, write_html
from minvae_pyro.evaluation.report.results import summarise
from minvae_pyro.evaluation.scores import METRICS
from minvae_pyro.evaluation.tables import summary
from minvae_pyro.files import make_folder, write_atomic
from minvae_pyro.plots import save_figure

RESULTS = ("summary.md", "summary.tex", NAME)
"""Files that :func:`write_overview` writes, besides ``figures/``."""


def write_overview(
    table: pd.DataFrame,
    output: Path,
    *,
    title: str = "Evaluation",
    baseline: str | None = None,
    overwrite: bool = False,
) -> str:
    """Write summaries, figures and the report of an experiment.

    Args:
        table: of the experiment, with at least one system besides the input.
        output: its folder.
        title: of the summaries and the report.
        baseline: system that the others are compared with; the first when omitted.
        overwrite: replace those of an earlier experiment.

    Returns:
        The gains of all systems over all mixtures, and how they compare with the baseline, in Markdown.

    Raises:
        UserError: there is no such baseline, or a file exists or cannot be written.
    """
    results = summarise(table, baseline)
    sections = {
        "Gains": results.gains,
        "Scores": summary(table, ["system"], METRICS),
        **{f"Gains by {name}": split for name, split in results.splits.items()},
    }
    if set(PITCH_ERRORS) <= set(table):
        sections["Pitch (share of frames in error)"] = summary(table, ["system"], PITCH_ERRORS)
    told = [results.gains]
    if len(results.comparison):
        sections[f"Against {results.baseline}"] = results.comparison
        told.append(results.comparison)
    undefined = int(table[list(GAINS)].isna().any(axis=1).sum())
    left_out = f" Rows that lack a score: {undefined}; their notes in scores.csv say why." if undefined else ""
    text = [
        f"# {title}",
        f"Mixtures: {table['id'].nunique()}. Means over mixtures; in parentheses 95 % intervals of the bootstrap over "
        f"mixtures. Gains are over the noisy input.{left_out}",
    ]
    latex = [f"% {title}"]
    for heading, result in sections.items():
        text += [f"## {heading}", to_markdown(result).rstrip()]
        latex += [f"% {heading}", to_latex(result).rstrip()]
    make_folder(output / "figures")
    for name, blocks in zip(RESULTS, (text, latex), strict=False):
        write_atomic(output / name, ("\n\n".join(blocks) + "\n").encode(), overwrite=overwrite)
    for name, _, draw in figures_of(table):
        save_figure(draw(table), output / "figures" / f"{name}.png", overwrite=overwrite)
    write_html(table, output, title=title, results=results, overwrite=overwrite)
    return "\n".join(map(to_markdown, told)).rstrip()
