from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minvae_pyro.errors import UserError
from minvae_pyro.plots import training, training_figure
from minvae_pyro.plots.training import draw_run


def points(axes: Axes, number: int = 0) -> np.ndarray:
    """(points, 2) coordinates of a line."""
    return np.asarray(axes.lines[number].get_xydata(), dtype=float)


def panel(figure: Figure, title: str) -> Axes:
    (axes,) = (axes for axes in figure.axes if axes.get_title() == title)
    return axes


def test_training_panels_hold_each_split_and_skip_holes() -> None:
    metrics = pd.DataFrame(
        {
            "epoch": [0, 0, 1, 1],
            "step": [9, 9, 19, 19],
            "train/elbo": [-3.0, np.nan, -1.0, np.nan],
            "validation/elbo": [np.nan, -4.0, np.nan, np.nan],
            "mixing_weight": [0.4, 0.6, 0.7, 0.7],
        }
    )
    figure = training_figure(metrics)
    assert len(figure.axes) == 2
    elbo = panel(figure, "elbo")
    np.testing.assert_allclose(points(elbo, 0), [[0, -3], [1, -1]])
    np.testing.assert_allclose(points(elbo, 1), [[0, -4]])
    assert [line.get_label() for line in elbo.lines] == ["train", "validation"]
    np.testing.assert_allclose(points(panel(figure, "mixing weight")), [[0, 0.5], [1, 0.7]])


@pytest.mark.parametrize("metrics", [{"loss": [1.0]}, {"epoch": [0], "step": [1]}])
def test_metrics_that_show_no_training_are_refused(metrics: dict[str, list[float]]) -> None:
    with pytest.raises(UserError, match="training without"):
        training_figure(pd.DataFrame(metrics))


def test_a_start_that_presses_the_rest_flat_is_left_out_of_the_axis() -> None:
    losses = [9000.0, 100.0, 5.0, 4.0, 3.5, 3.0]
    axes = panel(training_figure(pd.DataFrame({"epoch": range(6), "train/loss": losses})), "loss")
    low, high = axes.get_ylim()
    assert low < 3.0
    assert 5.0 < high < 100.0
    np.testing.assert_allclose(points(axes)[:, 1], losses)


def test_an_axis_that_shows_all_reaches_over_all() -> None:
    axes = panel(training_figure(pd.DataFrame({"epoch": range(6), "train/loss": [6.0, 5, 4, 3, 2, 1]})), "loss")
    assert axes.get_ylim()[1] > 6


def log(folder: Path, version: int, *lines: str) -> None:
    file = folder / f"csv/version_{version}/metrics.csv"
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(["epoch,step,train/loss", *lines]))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """(epochs, 2) of each picture that is drawn."""
    found: list[np.ndarray] = []
    draw = training.training_figure

    def watched(metrics: pd.DataFrame) -> Figure:
        found.append(metrics[["epoch", "train/loss"]].to_numpy(dtype=float))
        return draw(metrics)

    monkeypatch.setattr(training, "training_figure", watched)
    return found


def test_a_run_that_went_on_is_one_line(tmp_path: Path, drawn: list[np.ndarray]) -> None:
    for version in range(11):  # 10 comes after 9, not after 1
        log(tmp_path, version, f"{version},9,{100.0 - version}")
    assert draw_run(tmp_path) == tmp_path / "training.png"
    np.testing.assert_allclose(drawn[0], [[epoch, 100 - epoch] for epoch in range(11)])


def test_a_run_that_began_again_forgets_what_was_before(tmp_path: Path, drawn: list[np.ndarray]) -> None:
    log(tmp_path, 0, "0,9,5.0", "1,19,4.0", "2,29,3.0")
    log(tmp_path, 1, "2,29,2.5", "3,39,2.0")
    draw_run(tmp_path)
    np.testing.assert_allclose(drawn[-1], [[0, 5], [1, 4], [2, 2.5], [3, 2]])
    log(tmp_path, 2, "0,9,7.0")
    draw_run(tmp_path)
    np.testing.assert_allclose(drawn[-1], [[0, 7]])


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no metrics"):
        draw_run(tmp_path)
