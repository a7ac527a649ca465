import numpy as np
import pytest
import torch
from matplotlib.axes import Axes

from minvae_pyro.errors import UserError
from minvae_pyro.plots import objective_figure


def points(axes: Axes, number: int) -> np.ndarray:
    return np.asarray(axes.lines[number].get_xydata(), dtype=float)


def test_iterations_count_from_one() -> None:
    (axes,) = objective_figure({"svi": [-3.0, -1.0], "map": torch.tensor([-5.0, -4.0, -3.5])}).axes
    np.testing.assert_allclose(points(axes, 0), [[1, -3], [2, -1]])
    np.testing.assert_allclose(points(axes, 1), [[1, -5], [2, -4], [3, -3.5]])
    assert [line.get_label() for line in axes.lines] == ["svi", "map"]


def test_work_is_spread_over_iterations_or_given_for_each() -> None:
    traces = {"svi": [-3.0, -1.0], "map": [-5.0, -4.0]}
    _, clock = objective_figure(traces, {"svi": 3.0, "map": [0.5, 2.0]}).axes
    np.testing.assert_allclose(points(clock, 0), [[1.5, -3], [3, -1]])
    np.testing.assert_allclose(points(clock, 1), [[0.5, -5], [2, -4]])
    assert clock.get_xlabel() == "work (s)"


@pytest.mark.parametrize(
    ("traces", "seconds"), [({}, None), ({"a": [1.0]}, {"b": 1.0}), ({"a": [1.0, 2.0]}, {"a": [1.0]})]
)
def test_traces_without_their_seconds_are_refused(traces: dict, seconds: dict | None) -> None:
    with pytest.raises(UserError, match=r"(trace|times)"):
        objective_figure(traces, seconds)
