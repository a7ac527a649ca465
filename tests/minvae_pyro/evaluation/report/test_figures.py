from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.report.figures import box_figure, level_figure
from minvae_pyro.evaluation.tables import summary

gain_per_snr = partial(level_figure, column="snr_db", of="system")
gain_per_noise = partial(level_figure, column="noise", of="system")


def table(systems: int = 2, noises: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {
            "system": system,
            "id": f"{snr}-{noise}-{number}",
            "talker": "s1",
            "noise": f"noise {noise}",
            "snr_db": snr,
            "factor:start": "visual" if system == "system 0" else "audio",
            "si_sdr_gain": 0.0 if system == "input" else rng.normal(snr, 1),
            "pesq_gain": rng.normal(),
        }
        for system in ["input", *(f"system {number}" for number in range(systems))]
        for snr in (-5.0, 0.0, 5.0)
        for noise in range(noises)
        for number in range(3)
    ]
    return pd.DataFrame(rows)


def drawn(axes: Axes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each label the means, (points,), and the ends of their bars, (points, 2)."""
    found = {}
    for container in axes.containers:
        line, _, (bars,) = container
        ends = np.array([segment[:, 1] if len(segment) else (np.nan, np.nan) for segment in bars.get_segments()])
        found[container.get_label()] = (np.asarray(line.get_ydata(), dtype=float), ends)
    return found


def test_lines_are_means_with_intervals_per_snr() -> None:
    scores = table()
    left, right = gain_per_snr(scores, metrics=["si_sdr_gain", "pesq_gain"]).axes
    assert (left.get_title(), right.get_title()) == ("SI-SDR gain (dB)", "PESQ-wb gain")
    assert [text.get_text() for text in left.get_xticklabels()] == ["-5 dB", "0 dB", "+5 dB"]
    for axes, metric in ((left, "si_sdr_gain"), (right, "pesq_gain")):
        lines = drawn(axes)
        assert list(lines) == ["system 0", "system 1"]
        for system, (means, bars) in lines.items():
            expected = summary(scores[scores["system"] == system], ["snr_db"], [metric])
            np.testing.assert_allclose(means, expected["mean"])
            np.testing.assert_allclose(bars, expected[["low", "high"]])


def test_bars_of_systems_stand_side_by_side_in_their_places() -> None:
    axes = gain_per_snr(table(systems=5), metrics=["si_sdr_gain"]).axes[0]
    places = np.array([container[0].get_xdata() for container in axes.containers])
    assert np.unique(places).size == places.size
    np.testing.assert_array_equal(places.round(), np.broadcast_to([0, 1, 2], places.shape))


@pytest.mark.parametrize("noises", [2, 12])
def test_noises_have_points_and_no_lines_between_them(noises: int) -> None:
    figure = gain_per_noise(table(noises=noises), metrics=["si_sdr_gain", "pesq_gain"])
    (title,) = (axes for axes in figure.axes if axes.get_title() == "SI-SDR gain (dB)")
    assert all(container[0].get_linestyle() == "None" for container in title.containers)
    assert [text.get_text() for text in figure.axes[-1].get_xticklabels()] == [f"noise {n}" for n in range(noises)]
    # many noises need the width of the page
    across = len({round(axes.get_subplotspec().colspan.start) for axes in figure.axes})
    assert across == (2 if noises == 2 else 1)


def test_boxes_are_quartiles_over_mixtures() -> None:
    scores = table()
    figure = box_figure(scores, ["si_sdr_gain"])
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["system 0", "system 1"]
    for number, box in enumerate(axes.patches):
        values = scores[scores["system"] == f"system {number}"]["si_sdr_gain"]
        edges = box.get_path().vertices[:, 0]
        np.testing.assert_allclose([edges.min(), edges.max()], np.quantile(values, [0.25, 0.75]))


def test_a_factor_has_its_levels_side_by_side_and_a_line_a_mixture() -> None:
    scores = table()
    axes = level_figure(scores, "factor:start", ["si_sdr_gain"]).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["visual", "audio"]
    expected = scores[scores["system"] != "input"].pivot(index="id", columns="factor:start", values="si_sdr_gain")
    behind = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 2 and line.get_linewidth() < 0.7]
    behind = [values for values in behind if not np.array_equal(values, [0, 1])]
    np.testing.assert_allclose(sorted(map(tuple, behind)), sorted(map(tuple, expected[["visual", "audio"]].to_numpy())))
    (means, _) = next(iter(drawn(axes).values()))
    np.testing.assert_allclose(means, expected[["visual", "audio"]].mean())


def test_groups_of_a_factor_are_named() -> None:
    figure = level_figure(table(), "factor:start", ["si_sdr_gain"], of="snr_db")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["-5 dB", "0 dB", "+5 dB"]


def test_mixtures_without_a_score_are_left_out() -> None:
    scores = table()
    scores.loc[(scores["system"] == "system 0") & (scores["snr_db"] == 0), "si_sdr_gain"] = np.nan
    means, _ = drawn(gain_per_snr(scores, metrics=["si_sdr_gain"]).axes[0])["system 0"]
    assert np.isnan(means).tolist() == [False, True, False]
    box_figure(scores, ["si_sdr_gain"])


@pytest.mark.parametrize("draw", [gain_per_snr, gain_per_noise, box_figure])
def test_tables_that_cannot_be_drawn_are_refused(draw: Callable[..., Figure]) -> None:
    with pytest.raises(UserError, match="nothing to draw but the input"):
        draw(table(systems=0))
    with pytest.raises(UserError, match="no column estoi_gain"):
        draw(table())
