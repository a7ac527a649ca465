"""Results of an experiment in numbers: gains, split by what differs between mixtures, and a comparison."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.metrics import GAINS
from minvae_pyro.evaluation.systems import INPUT
from minvae_pyro.evaluation.tables import paired, summary, values_in_order

_SPLITS = {"talker": "talker", "snr_db": "signal-to-noise ratio of the input", "noise": "noise"}
_FURTHER = ("audio_responsibility", "real_time_factor")


@dataclass(frozen=True)
class Results:
    """Summaries of the table of an experiment.

    Attributes:
        gains: of each system over all mixtures, see :func:`minvae_pyro.evaluation.tables.summary`.
        splits: the same by a property of mixtures, for each property (in words) that differs.
        baseline: system that the others are compared with.
        comparison: see :func:`minvae_pyro.evaluation.tables.paired`; empty where there is nothing to compare.
    """

    gains: pd.DataFrame
    splits: dict[str, pd.DataFrame]
    baseline: str
    comparison: pd.DataFrame


def summarise(table: pd.DataFrame, baseline: str | None = None) -> Results:
    """Summarise the table of an experiment; others are compared with the baseline, by default its first system.

    Raises:
        UserError: a table without systems, or no such baseline.
    """
    ours = table[table["system"] != INPUT]
    if ours.empty:
        raise UserError("there is nothing to report but the input: evaluate at least one system.")
    baseline = str(values_in_order(ours, "system")[0]) if baseline is None else baseline
    further = [metric for metric in _FURTHER if metric in ours and ours[metric].notna().any()]
    return Results(
        summary(ours, ["system"], [*GAINS, *further]),
        {name: summary(ours, [column, "system"]) for column, name in _SPLITS.items() if ours[column].nunique() > 1},
        baseline,
        paired(table if baseline == INPUT else ours, baseline),
    )
