"""Main effects and claims on tables whose means are known."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest

from minvae_pyro.ablation.claims import Claim
from minvae_pyro.ablation.design import Ablation
from minvae_pyro.ablation.effects import averaged, comparable, decide_claims, main_effects, verdict
from minvae_pyro.ablation.report import write_report
from minvae_pyro.evaluation.report.figures import figure_name
from minvae_pyro.evaluation.scores import METRICS

FACTORS = {"start": {"both": {}, "visual": {}, "audio": {}}, "video": {"right": {}, "other": {}}}
WORTH = {"both": 0.0, "visual": 2.0, "audio": -3.0, "right": 0.0, "other": -1.0}
MIXTURES = [(f"{talker}{number}", talker, number) for talker in ("s1", "s26") for number in range(4)]


def scored(ablation, worth, trainings=("0",)):
    """A table in which each level is worth so many decibels on talker s1, and nothing on s26."""
    rows = []
    for combination, training in itertools.product(ablation.combinations(), trainings):
        for name, talker, number in MIXTURES:
            gain = number + worth(combination, training) * (talker == "s1")
            rows.append(
                {
                    "system": f"{combination} {training}",
                    "id": name,
                    "talker": talker,
                    "noise": "wind" if number % 2 else "rain",
                    "snr_db": 5.0 * (number // 2),
                    "factor:training": training,
                    **{f"factor:{factor}": level for factor, level in combination.items()},
                    **dict.fromkeys(METRICS, gain),
                    **{f"{metric}_gain": gain for metric in METRICS},
                    "audio_responsibility": 0.5,
                    "real_time_factor": 0.1,
                }
            )
    heard = [{**row, "system": "input", "factor:start": None, "si_sdr_gain": 0.0} for row in rows[: len(MIXTURES)]]
    return pd.DataFrame(heard + rows)


def unpadded(text):
    """Markdown without the spaces that align its columns."""
    return re.sub(r" +", " ", text)


def additive(combination, training):
    return sum(WORTH[level] for level in combination.values())


def effect(effects, **where):
    rows = effects[np.logical_and.reduce([effects[key] == value for key, value in where.items()])]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize(
    "design", ["full", "one-at-a-time", [{"start": ["both", "visual", "audio"]}, {"video": "other"}]]
)
def test_main_effects_of_additive_factors_are_what_levels_are_worth(design):
    ablation = Ablation("", FACTORS, design=design)
    effects = main_effects(averaged(scored(ablation, additive), ablation), ablation)
    for factor, level in (("start", "visual"), ("start", "audio"), ("video", "other")):
        for talker, share in (("s1", 1), ("s26", 0)):
            found = effect(effects, factor=factor, level=level, talker=talker, metric="si_sdr_gain")
            assert found["difference"] == pytest.approx(share * WORTH[level])
            assert found["low"] == pytest.approx(share * WORTH[level])
            assert found["count"] == 4


def test_main_effects_of_a_full_design_average_over_the_other_factors():
    ablation = Ablation("", FACTORS, design="full")
    worth = lambda levels, training: 6.0 * (levels == {"start": "visual", "video": "other"})  # noqa: E731
    effects = main_effects(averaged(scored(ablation, worth), ablation), ablation)
    for where in ({"factor": "start", "level": "visual"}, {"factor": "video", "level": "other"}):
        found = effect(effects, talker="s1", metric="pesq_gain", **where)
        assert found["difference"] == pytest.approx(6.0 / 2 if where["factor"] == "start" else 6.0 / 3)


def test_of_chosen_combinations_those_are_compared_whose_other_factors_are_at_their_reference(tmp_path):
    chosen = [{"start": ["both", "visual"]}, {"start": ["both", "audio", "visual"], "video": "other"}]
    ablation = Ablation("", FACTORS, design=chosen)
    # the start is worth something else with the other video
    worth = lambda levels, training: additive(levels, training) * (1 + 9 * (levels["video"] == "other"))  # noqa: E731
    means = averaged(scored(ablation, worth), ablation)
    effects = main_effects(means, ablation)
    assert effect(effects, level="visual", talker="s1", metric="pesq_gain")["difference"] == pytest.approx(2.0)
    assert effect(effects, level="other", talker="s1", metric="pesq_gain")["difference"] == pytest.approx(-10.0)
    assert set(effects["level"]) == {"visual", "other"}  # nothing with the right video starts at the sound
    assert set(comparable(means, ablation, "start")["factor:start"]) == {"both", "visual"}
    page = unpadded(write_report(scored(ablation, worth), ablation, tmp_path))
    assert "## All combinations" in page
    assert "| s1 | audio | other | 4 | -38.50" in page


def test_without_the_reference_nothing_is_compared(tmp_path):
    ablation = Ablation("", FACTORS, design=[{"start": ["visual", "audio"], "video": "other"}])
    page = write_report(scored(ablation, additive), ablation, tmp_path)
    assert "## Start" not in page
    assert list((tmp_path / "figures").iterdir()) == []


def test_replicates_count_as_one_however_many_a_system_has():
    ablation = Ablation("", {"system": {"a": {}, "b": {}}}, replicates={"training": {}})
    worth = lambda levels, training: float(training) * (levels["system"] == "b")  # noqa: E731
    table = scored(ablation, worth, ("0", "3"))
    means = averaged(table, ablation)
    assert len(means) == 2 * len(MIXTURES)
    assert effect(main_effects(means, ablation), talker="s1", metric="estoi_gain")["difference"] == pytest.approx(1.5)


def test_scores_that_are_infinite_or_missing_are_left_out():
    ablation = Ablation("", {"system": {"a": {}, "b": {}}})
    table = scored(ablation, lambda levels, training: 1.0 * (levels["system"] == "b"))
    table.loc[table["id"] == "s10", "si_sdr_gain"] = np.nan
    table.loc[table["id"] == "s11", "si_sdr_gain"] = np.inf
    found = effect(main_effects(averaged(table, ablation), ablation), talker="s1", metric="si_sdr_gain")
    assert (found["difference"], found["count"], found["missing"]) == (pytest.approx(1.0), 2, 2)


CLAIMS = {
    "better": (Claim("", {"start": "visual"}, ({"start": "audio"},)), {"s1": True, "s26": False}),
    "worse": (Claim("", {"start": "audio"}, ({"start": "visual"},)), {"s1": False, "s26": False}),
    "not worse": (Claim("", {"start": "visual"}, ({},), relation="not worse"), {"s1": True, "s26": True}),
    "worse, not better": (Claim("", {"start": "audio"}, ({},), relation="not worse"), {"s1": False, "s26": True}),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_claims_are_judged_by_the_interval_of_the_difference(claim):
    asked, expected = CLAIMS[claim]
    ablation = Ablation("", FACTORS, claims=(asked,))
    found = decide_claims(averaged(scored(ablation, additive), ablation), ablation)
    assert {talker: set(rows["holds"]) for talker, rows in found.groupby("talker")} == {
        talker: {holds} for talker, holds in expected.items()
    }


def test_a_difference_that_mixtures_disagree_on_is_no_proof():
    ablation = Ablation("", FACTORS, claims=(Claim("", {"start": "visual"}, ({},)),))
    table = scored(ablation, additive)
    table.loc[(table["id"] == "s10") & (table["factor:start"] == "visual"), "si_sdr_gain"] -= 20
    found = decide_claims(averaged(table, ablation), ablation)
    row = effect(found, talker="s1", metric="si_sdr_gain")
    assert row["low"] < 0 < row["high"]
    assert not row["holds"]


def test_verdicts():
    assert [verdict(holds) for holds in ([True, True], [True, False], [False])] == [
        "holds",
        "holds partly",
        "does not hold",
    ]


def test_the_page_tells_claims_effects_and_properties(tmp_path):
    claims = (Claim("The visual start is best", {"start": "visual"}, ({"start": "audio"},), "a paper"),)
    ablation = Ablation("Starts", FACTORS, claims=claims, by=("talker", "noise"), replicates={"training": {}})
    page = write_report(scored(ablation, additive, ("0", "1")), ablation, tmp_path, "minvae ablate this")
    assert page == (tmp_path / "ablation.md").read_text()
    assert page.startswith("# Starts\n\n    minvae ablate this\n")
    page = unpadded(page)
    assert "| The visual start is best (a paper) | **holds**: against start=audio: SI-SDR (dB) +5.00 (+5.00 to" in page
    assert "**does not hold**: against start=audio: SI-SDR (dB) +0.00" in page
    assert "Changes against both:" in page
    assert "| talker | start, video | rain | wind |" in page
    assert "| s1 | visual, right | +3.00 / +3.000 / +3.000 | +4.00 / +4.000 / +4.000 |" in page
    for factor in FACTORS:
        assert (tmp_path / "figures" / f"{figure_name(factor)}.png").is_file()
        assert f"(figures/{figure_name(factor)}.png)" in page
    assert len(pd.read_csv(tmp_path / "claims.csv")) == 2 * 3
    assert len(pd.read_csv(tmp_path / "effects.csv")) == 2 * 4 * 3


def test_many_properties_are_rows(tmp_path):
    ablation = Ablation("Few", {"system": {"a": {}}}, by=("snr_db",))
    page = unpadded(write_report(scored(ablation, lambda levels, training: 0.0), ablation, tmp_path))
    assert "| talker | signal-to-noise ratio (dB) | all |" in page
    assert "| s1 | 5 | +2.50 / +2.500 / +2.500 |" in page


def test_names_of_figures_are_names_of_files():
    assert figure_name("Noise injection (dB)") == "factor-noise-injection-db"
