"""What an ablation finds: the effect of each level of each factor, and whether claims hold, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from minvae_pyro.ablation.design import Ablation, Combination, label
from minvae_pyro.evaluation.metrics import GAINS, QUANTITIES, column
from minvae_pyro.evaluation.statistics import holm
from minvae_pyro.evaluation.systems import INPUT
from minvae_pyro.evaluation.tables import paired

SHOWN = (*GAINS, "audio_responsibility")
"""Columns of which effects are shown."""


def averaged(table: pd.DataFrame, ablation: Ablation) -> pd.DataFrame:
    """The table of an ablation's experiment with a row for each combination and mixture: the mean over replicates."""
    keys = [*(column(factor) for factor in ablation.factors), "id", "talker", "noise", "snr_db"]
    ours = table[table["system"] != INPUT]
    numbers = [name for name in QUANTITIES if name in ours]
    finite = ours.assign(**{name: ours[name].where(np.isfinite(ours[name].astype(float))) for name in numbers})
    means = finite.groupby(keys, sort=False, as_index=False)[numbers].mean()
    levels = means[[column(factor) for factor in ablation.factors]]
    return means.assign(system=levels.agg(", ".join, axis=1))


def comparable(means: pd.DataFrame, ablation: Ablation, factor: str) -> pd.DataFrame:
    """Rows of :func:`averaged` for each level of a factor, in their order, that are comparable with its reference.

    In a full design those are all rows; in any other those whose other factors are at their reference, so that levels
    are not averaged over different things.
    """
    start, levels = ablation.reference, list(ablation.factors[factor])
    chosen = [
        one for one in ablation.combinations() if ablation.design == "full" or {**one, factor: start[factor]} == start
    ]
    if start[factor] not in (one[factor] for one in chosen):
        return means.iloc[:0]
    return pd.concat([_rows(means, one) for one in sorted(chosen, key=lambda one: levels.index(one[factor]))])


def main_effects(means: pd.DataFrame, ablation: Ablation) -> pd.DataFrame:
    """What each level of each factor changes against the reference, all other factors alike, mixture by mixture.

    From :func:`averaged`, a row for each talker, factor, level but the reference, and score of :data:`SHOWN`: talker,
    factor, level, and what :func:`minvae_pyro.evaluation.tables.paired` returns, with ``p_holm`` corrected for all
    tests of the ablation.
    """
    found = []
    for factor in ablation.factors:
        name, rows = column(factor), comparable(means, ablation, factor)
        for level in rows[name].unique()[1:]:
            pair = rows[rows[name].isin([ablation.reference[factor], level])]
            change = paired(pair, ablation.reference[factor], SHOWN, of=name, by=["talker"])
            found.append(change.rename(columns={name: "level"}).assign(factor=factor))
    return _corrected(found, ["factor", "level", "talker"])


def decide_claims(means: pd.DataFrame, ablation: Ablation) -> pd.DataFrame:
    """What the mixtures say of each claim, comparison by comparison.

    From :func:`averaged`, a row for each claim, rival, talker and score: claim, source, than, talker, what
    :func:`minvae_pyro.evaluation.tables.paired` returns, and ``holds``: whether the interval of the difference lies
    above zero, or, for what is claimed to be not worse, does not lie below it.
    """
    found = []
    for claim in ablation.claims:
        first, *rivals = ({**ablation.reference, **levels} for levels in claim.compared)
        for than in rivals:
            sides = pd.concat([_rows(means, first).assign(side="first"), _rows(means, than).assign(side="than")])
            compared = paired(sides, "than", claim.metrics, of="side", by=["talker"]).drop(columns="side")
            differs = label({factor: level for factor, level in than.items() if level != first[factor]})
            low, high = compared["low"], compared["high"]
            holds = low > 0 if claim.relation == "better" else high >= 0
            found.append(compared.assign(claim=claim.text, source=claim.source, than=differs, holds=holds))
    return _corrected(found, ["claim", "source", "than", "talker"])


def verdict(holds: Sequence[bool]) -> str:
    """What may be said of a claim that holds in all comparisons, in some, or in none.

    Example:
        >>> verdict([True, True]), verdict([True, False]), verdict([False])
        ('holds', 'holds partly', 'does not hold')
    """
    return "holds" if all(holds) else "holds partly" if any(holds) else "does not hold"


def _rows(means: pd.DataFrame, combination: Combination) -> pd.DataFrame:
    alike = np.logical_and.reduce([means[column(factor)] == level for factor, level in combination.items()])
    return means[alike]


def _corrected(parts: Sequence[pd.DataFrame], first: Sequence[str]) -> pd.DataFrame:
    """One table of comparisons, its tests corrected for their number."""
    if not parts:
        return pd.DataFrame()
    whole = pd.concat(parts, ignore_index=True)
    whole["p_holm"] = holm(whole["p"].to_numpy(dtype=np.float64))
    return whole[[*first, *(name for name in whole if name not in first)]]
