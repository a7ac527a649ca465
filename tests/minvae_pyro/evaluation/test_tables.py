import math

import numpy as np
import pandas as pd
import pytest

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.statistics import bootstrap_mean, holm, signed_rank
from minvae_pyro.evaluation.tables import paired, summary


def scores(**systems: list[float]) -> pd.DataFrame:
    """A table with one score and mixtures named by letters, at -5 and 5 dB by turns."""
    rows = []
    for system, values in systems.items():
        for number, value in enumerate(values):
            snr = 5.0 if number % 2 else -5.0
            rows.append({"system": system, "id": "abcdefghij"[number], "snr_db": snr, "si_sdr_gain": value})
    return pd.DataFrame(rows)


def test_groups_have_means_and_intervals_in_the_order_of_the_table() -> None:
    table = scores(second=[3.0, 5.0, 1.0, 2.0], first=[1.0, 1.0, 0.0, 4.0])
    result = summary(table, ["system", "snr_db"], ["si_sdr_gain"])
    assert list(result["system"]) == ["second", "second", "first", "first"]
    assert list(result["snr_db"]) == [-5, 5, -5, 5]
    np.testing.assert_allclose(result["mean"], [2, 3.5, 0.5, 2.5])
    expected = bootstrap_mean([5.0, 2.0])
    row = result.iloc[1]
    assert (row["low"], row["high"], row["count"], row["missing"]) == (expected.low, expected.high, 2, 0)


def test_a_mixture_counts_once_whatever_the_seeds() -> None:
    table = pd.concat([scores(a=[1.0, 5.0]), scores(a=[3.0, math.nan])])
    (row,) = summary(table, metrics=["si_sdr_gain"]).to_dict("records")
    # a: mean of 1 and 3, b: 5
    assert row["mean"] == pytest.approx(3.5)
    assert (row["count"], row["missing"]) == (2, 0)


def test_missing_scores_are_counted() -> None:
    (row,) = summary(scores(a=[1.0, math.nan, math.inf, 3.0]), metrics=["si_sdr_gain"]).to_dict("records")
    assert row["mean"] == pytest.approx(2)
    assert (row["count"], row["missing"]) == (2, 2)
    (row,) = summary(scores(a=[math.nan]), metrics=["si_sdr_gain"]).to_dict("records")
    assert math.isnan(row["mean"])


def test_a_missing_column_is_told() -> None:
    with pytest.raises(UserError, match="no column talker, pesq_gain"):
        summary(scores(a=[1.0]), ["talker"], ["pesq_gain"])


def test_pairs_are_made_by_mixture_not_by_place() -> None:
    base, other = np.array([1.0, 2.0, 9.0, 4.0, 0.0]), np.array([2.0, 5.0, 9.5, 3.0, 1.0])
    table = scores(base=list(base), other=list(other)).sample(frac=1, random_state=0)
    (row,) = paired(table, "base", ["si_sdr_gain"]).to_dict("records")
    expected = bootstrap_mean(other - base)
    assert row["system"] == "other"
    assert row["difference"] == pytest.approx((other - base).mean())
    assert row["low"] == pytest.approx(expected.low, abs=0.2)
    assert row["better"] == pytest.approx(0.8)
    assert row["p"] == pytest.approx(signed_rank(other - base))


def test_a_mixture_that_one_of_both_lacks_is_missing() -> None:
    table = scores(base=[1.0, math.nan, 3.0], other=[2.0, 2.0, 5.0, 7.0])
    (row,) = paired(table, "base", ["si_sdr_gain"]).to_dict("records")
    assert row["difference"] == pytest.approx(1.5)
    assert (row["count"], row["missing"]) == (2, 2)


def test_all_tests_of_a_table_are_one_family() -> None:
    rng = np.random.default_rng(0)
    table = scores(**{name: list(rng.normal(shift, 1, 10)) for name, shift in (("a", 0), ("b", 2), ("c", 0.3))})
    result = paired(table, "a", ["si_sdr_gain"], by=["snr_db"])
    assert list(zip(result["snr_db"], result["system"], strict=True)) == [(-5, "b"), (-5, "c"), (5, "b"), (5, "c")]
    np.testing.assert_allclose(result["p_holm"], holm(result["p"].to_numpy()))
    assert (result["p_holm"] > result["p"]).any()


def test_levels_of_a_full_design_are_main_effects() -> None:
    design = [("on", "x", 3.0), ("on", "y", 5.0), ("off", "x", 1.0), ("off", "y", 4.0)]
    rows = [
        {"id": name, "factor:gate": gate, "factor:start": start, "si_sdr_gain": gain + shift}
        for name, shift in (("a", 0.0), ("b", 10.0))
        for gate, start, gain in design
    ]
    (row,) = paired(pd.DataFrame(rows), "off", ["si_sdr_gain"], of="factor:gate").to_dict("records")
    assert (row["factor:gate"], row["count"]) == ("on", 2)
    assert row["difference"] == pytest.approx(1.5)


def test_a_baseline_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="no system c to compare with: choose one of a, b"):
        paired(scores(a=[1.0], b=[1.0]), "c", ["si_sdr_gain"])
