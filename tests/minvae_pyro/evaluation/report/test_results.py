import pandas as pd
import pytest

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.metrics import GAINS
from minvae_pyro.evaluation.report.results import summarise
from minvae_pyro.evaluation.tables import paired, summary


def table() -> pd.DataFrame:
    """Two systems and the input on four mixtures of two talkers, all with the same noise at the same ratio."""
    rows = [
        {"system": system, "id": str(number), "talker": f"s{number % 2}", "noise": "wind", "snr_db": 0.0}
        | dict.fromkeys(GAINS, float(number * worth))
        | {"audio_responsibility": 0.5 if system == "b" else None, "real_time_factor": None}
        for system, worth in (("input", 0), ("a", 1), ("b", 3))
        for number in range(4)
    ]
    return pd.DataFrame(rows)


def test_gains_splits_and_comparison_are_those_of_the_systems_without_the_input() -> None:
    scores = table()
    ours = scores[scores["system"] != "input"]
    results = summarise(scores)
    pd.testing.assert_frame_equal(results.gains, summary(ours, ["system"], [*GAINS, "audio_responsibility"]))
    assert list(results.splits) == ["talker"]
    pd.testing.assert_frame_equal(results.splits["talker"], summary(ours, ["talker", "system"]))
    assert results.baseline == "a"
    pd.testing.assert_frame_equal(results.comparison, paired(ours, "a"))


def test_systems_may_be_compared_with_the_input() -> None:
    results = summarise(table(), "input")
    assert list(dict.fromkeys(results.comparison["system"])) == ["a", "b"]
    assert results.comparison.set_index(["system", "metric"]).loc[("b", GAINS[0]), "difference"] == 4.5


def test_what_cannot_be_summarised_is_refused() -> None:
    scores = table()
    with pytest.raises(UserError, match="no system c to compare with: choose one of a, b"):
        summarise(scores, "c")
    with pytest.raises(UserError, match="nothing to report but the input"):
        summarise(scores[scores["system"] == "input"])
    assert summarise(scores[scores["system"] != "b"]).comparison.empty
