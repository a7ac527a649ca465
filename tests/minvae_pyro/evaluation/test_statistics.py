import itertools
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import norm, rankdata

from minvae_pyro.evaluation.statistics import bootstrap_mean, holm, signed_rank

P_VALUES = st.lists(st.floats(0, 1) | st.just(math.nan), max_size=12)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_of_gaussian_data_is_the_normal_one(confidence: float) -> None:
    data = np.random.default_rng(1).normal(3, 2, 400)
    mean = bootstrap_mean(data, confidence=confidence, resamples=20000)
    half = norm.ppf((1 + confidence) / 2) * data.std() / math.sqrt(400)
    assert mean.value == pytest.approx(data.mean())
    assert mean.low == pytest.approx(data.mean() - half, abs=0.05 * half)
    assert mean.high == pytest.approx(data.mean() + half, abs=0.05 * half)
    assert (mean.count, mean.missing) == (400, 0)


def test_intervals_cover_the_mean_of_the_population_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    samples = rng.exponential(1.0, (400, 60))
    covered = [mean.low <= 1 <= mean.high for mean in (bootstrap_mean(sample, resamples=400) for sample in samples)]
    # 95 % less what skewness and 60 values cost; the standard error of the share is one percent
    assert 0.89 < np.mean(covered) < 0.98


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    whole = bootstrap_mean([1.0, 2.0, 4.0])
    holes = bootstrap_mean([1.0, math.nan, 2.0, math.inf, 4.0])
    assert (holes.value, holes.low, holes.high) == (whole.value, whole.low, whole.high)
    assert (holes.count, holes.missing) == (3, 2)


def test_few_values_say_little() -> None:
    nothing, one = bootstrap_mean([math.nan]), bootstrap_mean([5.0])
    assert math.isnan(nothing.value)
    assert (nothing.count, nothing.missing) == (0, 1)
    assert one.value == 5
    assert math.isnan(one.low)
    assert math.isnan(one.high)


def test_a_seed_decides_the_interval() -> None:
    data = np.random.default_rng(0).normal(size=30)
    assert bootstrap_mean(data, seed=1) == bootstrap_mean(data, seed=1)
    assert bootstrap_mean(data, seed=1) != bootstrap_mean(data, seed=2)


def test_a_large_sample_is_drawn_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).normal(size=100)
    whole = bootstrap_mean(data, resamples=1000)
    monkeypatch.setattr("minvae_pyro.evaluation.statistics._AT_ONCE", 30 * 100)
    # PCG64 gives the same integers in blocks as at once
    assert bootstrap_mean(data, resamples=1000) == whole


@pytest.mark.parametrize("seed", range(3))
def test_the_signed_rank_test_counts_signs_of_ranks(seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.5, 1, 9)
    ranks = rankdata(np.abs(differences))
    # under the hypothesis each of the 2^9 choices of signs is as likely as any other
    sums = [np.dot(signs, ranks) for signs in itertools.product((-1, 1), repeat=9)]
    found = np.dot(np.sign(differences), ranks)
    expected = np.mean(np.abs(sums) >= abs(found) - 1e-9)
    assert signed_rank([*differences, math.nan]) == pytest.approx(expected)


def test_zeros_say_nothing() -> None:
    assert signed_rank([0.0, 0.0]) == 1
    assert math.isnan(signed_rank([]))
    assert signed_rank([0.0, 1.0, 2.0, 3.0, 4.5]) == signed_rank([1.0, 2.0, 3.0, 4.5])


def test_holm_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, never less than the one before
    np.testing.assert_allclose(holm([0.01, 0.04, math.nan, 0.03, 0.005]), [0.03, 0.06, math.nan, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1, 1])
    assert holm([]).shape == (0,)


@given(P_VALUES)
def test_holm_lies_between_the_raw_value_and_bonferroni(values: list[float]) -> None:
    raw, corrected = np.array(values), holm(values)
    tests = ~np.isnan(raw)
    np.testing.assert_array_equal(np.isnan(corrected), ~tests)
    raw, corrected = raw[tests], corrected[tests]
    assert (corrected >= raw).all()
    assert (corrected <= np.minimum(len(raw) * raw, 1) + 1e-15).all()
    assert (np.diff(corrected[np.argsort(raw, kind="stable")]) >= 0).all()
