"""What can be said of a mean from few mixtures: bootstrap intervals, and tests that stay honest when they are many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap, wilcoxon

_AT_ONCE = 2_000_000  # draws of a bootstrap that are held in memory


@dataclass(frozen=True)
class Mean:
    """A mean and how sure it is.

    Attributes:
        value: the mean of what is finite; NaN where nothing is.
        low: lower end of the interval; NaN for less than two values, which say nothing of their spread.
        high: its upper end.
        count: how many values were finite.
        missing: how many were not.
    """

    value: float
    low: float
    high: float
    count: int
    missing: int


def bootstrap_mean(values: ArrayLike, *, confidence: float = 0.95, resamples: int = 5000, seed: int = 0) -> Mean:
    """The mean with its percentile bootstrap interval (Efron & Tibshirani, 1993, chapter 13).

    Args:
        values: (n,); those that are not finite are counted and left out.
        confidence: probability that the interval covers the mean of the population.
        resamples: samples of size n drawn with replacement; with 5000 the ends of an interval move by about a hundredth
            of its width from seed to seed.
        seed: decides the draws; equal arguments give equal intervals.

    Example:
        >>> gain = bootstrap_mean([1.0, 2.0, 3.0, float("nan")])
        >>> gain.value, gain.count, gain.missing, 1 <= gain.low < 2 < gain.high <= 3
        (2.0, 3, 1, True)
    """
    every = np.asarray(values, dtype=np.float64)
    finite = every[np.isfinite(every)]
    count, missing = len(finite), len(every) - len(finite)
    value = float(finite.mean()) if count else math.nan
    if count < 2:
        return Mean(value, math.nan, math.nan, count, missing)
    low, high = bootstrap(
        (finite,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, _AT_ONCE // count),
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Mean(value, float(low), float(high), count, missing)


def signed_rank(differences: ArrayLike) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test that differences are symmetric about zero.

    Of the (n,) those that are not finite are left out. Zeros say nothing and are dropped (Wilcoxon, 1945). The p-value
    is 1 where all are zero, NaN where there are none.

    Example:
        >>> signed_rank([0.1, 0.2, 0.3, 0.4, 0.5])
        0.0625
    """
    finite = np.asarray(differences, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.any():
        return 1.0 if len(finite) else math.nan
    return float(wilcoxon(finite, zero_method="wilcox").pvalue)


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values corrected for how many tests there are, so that they bound the chance of any false claim (Holm, 1979).

    The (m,) are of one family of tests; NaN is no test and stays NaN. The values of the step-down correction are at
    most 1.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(len(raw), math.nan)
    tests = np.flatnonzero(~np.isnan(raw))
    order = tests[np.argsort(raw[tests], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(factors * raw[order]), 1.0)
    return corrected
