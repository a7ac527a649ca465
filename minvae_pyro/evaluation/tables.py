"""From scores to tables of numbers: means with intervals, and paired comparisons with a baseline.

Both work on the table of an experiment, a row for each system and mixture (see
:func:`minvae_pyro.evaluation.experiment.evaluate`). What is sampled are mixtures: those that any experiment is run on
stand for all that could have been drawn, so intervals and tests treat a mixture as one observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.metrics import GAINS
from minvae_pyro.evaluation.statistics import bootstrap_mean, holm, signed_rank

_MEAN = ["metric", "value", "low", "high", "count", "missing"]


def summary(table: pd.DataFrame, by: Sequence[str] = ("system",), metrics: Sequence[str] = GAINS) -> pd.DataFrame:
    """Means over mixtures with bootstrap intervals.

    Several rows of a mixture in one group, such as those of several seeds, are averaged first: a mixture counts once.
    Scores that are NaN or infinite are left out and counted.

    Args:
        table: of an experiment.
        by: columns that make the groups, in the order of the table.
        metrics: columns of numbers.

    Returns:
        A row for each group and metric: the columns ``by``, then metric, mean, low, high, count (of mixtures), missing
        (mixtures without a finite score).

    Raises:
        UserError: the table lacks a column.

    Example:
        >>> table = pd.DataFrame({"id": ["a", "b"], "system": "x", "si_sdr_gain": [4.0, 6.0]})
        >>> found = summary(table, metrics=["si_sdr_gain"])
        >>> found[["system", "mean", "low", "high", "count"]].to_numpy().tolist()
        [['x', 5.0, 4.0, 6.0, 2]]
    """
    check_columns(table, ["id", *by, *metrics])
    rows = [
        {**key, "metric": metric, **asdict(bootstrap_mean(by_mixture(group, metric)))}
        for key, group in _groups(table, by)
        for metric in metrics
    ]
    return pd.DataFrame(rows, columns=[*by, *_MEAN]).rename(columns={"value": "mean"})


def paired(
    table: pd.DataFrame,
    baseline: str,
    metrics: Sequence[str] = GAINS,
    *,
    of: str = "system",
    by: Sequence[str] = (),
) -> pd.DataFrame:
    """Differences to a baseline on the same mixtures, with bootstrap intervals and Wilcoxon's signed-rank test.

    Args:
        table: of an experiment.
        baseline: what the others are compared with.
        metrics: columns of numbers, more is better.
        of: the column of what is compared; systems, or levels of a factor. Several rows of a mixture are averaged
            first, so that in a full design the differences between levels are main effects.
        by: columns that make groups, each compared on its own.

    Returns:
        A row for each group, other system and metric: the columns ``by``, then ``of``, metric, difference (mean, above
        zero where the other is better), low, high, count (mixtures that both have a finite score on), missing, better
        (share of them that the other is better on), p, and p_holm, corrected for all tests of the table.

    Raises:
        UserError: the table lacks a column, or the baseline.
    """
    check_columns(table, ["id", of, *by, *metrics])
    names = list(dict.fromkeys(table[of]))
    if baseline not in names:
        raise UserError(f"there is no {of} {baseline} to compare with: choose one of {', '.join(map(str, names))}.")
    rows = []
    for key, group in _groups(table, by):
        levels = dict(iter(group.groupby(of, sort=False)))
        there = [name for name in names if name in levels and name != baseline and baseline in levels]
        for name, metric in ((name, metric) for name in there for metric in metrics):
            # of all mixtures of either; the difference to nothing is missing
            differences = by_mixture(levels[name], metric) - by_mixture(levels[baseline], metric)
            finite = differences[np.isfinite(differences)]
            tested = {"better": (finite > 0).mean(), "p": signed_rank(finite)}
            rows.append({**key, of: name, "metric": metric, **asdict(bootstrap_mean(differences)), **tested})
    result = pd.DataFrame(rows, columns=[*by, of, *_MEAN, "better", "p"]).rename(columns={"value": "difference"})
    result["p_holm"] = holm(result["p"].to_numpy(dtype=np.float64))
    return result


def values_in_order(table: pd.DataFrame, column: str) -> list[object]:
    """Values of a column: numbers from least to greatest, anything else as it first appears."""
    values = list(dict.fromkeys(table[column].dropna()))
    return sorted(values) if pd.api.types.is_numeric_dtype(table[column]) else values


def _groups(table: pd.DataFrame, by: Sequence[str]) -> list[tuple[dict[str, object], pd.DataFrame]]:
    """Groups that have rows, the first column slowest."""
    if not by:
        return [({}, table)]
    ordered = table.assign(**{name: pd.Categorical(table[name], values_in_order(table, name)) for name in by})
    groups = ordered.groupby(list(by), observed=True)
    return [(dict(zip(by, key, strict=True)), group) for key, group in groups]


def by_mixture(rows: pd.DataFrame, metric: str) -> pd.Series:
    """A value for each mixture, by its id: the mean of its finite rows, NaN without any."""
    values = rows[metric].astype(np.float64)
    return values.where(np.isfinite(values)).groupby(rows["id"], sort=False).mean()


def check_columns(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a table that lacks a column.

    Raises:
        UserError: it does.
    """
    missing = [column for column in dict.fromkeys(columns) if column not in table]
    if missing:
        raise UserError(f"the table has no column {', '.join(missing)}: it has {', '.join(map(str, table.columns))}.")
