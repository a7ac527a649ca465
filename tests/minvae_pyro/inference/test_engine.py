"""A tolerance ends a run early, at an iteration that is known, and changes nothing else."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch

from minvae_pyro.inference import infer
from minvae_pyro.inference.engine import has_converged
from minvae_pyro.inference.settings import ENGINES

RISING_TO_TEN = [float(min(n, 10)) for n in range(1, 31)]
FIRST = 10  # two windows of five


def stop_of(objective: list[float], tolerance: float) -> int | None:
    return next((n for n in range(1, len(objective) + 1) if has_converged(objective[:n], tolerance)), None)


# means of five: 9.4 and 10 after 17 values, 9.8 and 10 after 18, 10 and 10 after 19
@pytest.mark.parametrize(("tolerance", "stop"), [(math.inf, FIRST), (0.61, 17), (0.5, 18), (0.1, 19), (0.0, None)])
def test_the_stop_is_known_by_hand(tolerance: float, stop: int | None) -> None:
    assert stop_of(RISING_TO_TEN, tolerance) == stop


def test_noise_that_averages_out_does_not_stop_what_rises() -> None:
    # falls at every other step, but rises by 0.5 over five
    objective = [0.1 * n + (-1) ** n for n in range(40)]
    assert sum(later < earlier for earlier, later in pairwise(objective)) == 20
    assert stop_of(objective, 0.05) is None


def test_what_falls_has_converged_unless_nobody_asks() -> None:
    falling = [-float(n) for n in range(20)]
    assert stop_of(falling, 1e-9) == FIRST
    assert stop_of(falling, 0.0) is None
    assert stop_of([math.nan] * 20, 1.0) is None


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_stops_where_its_own_objective_says(noisy: Any, name: str) -> None:
    checkpoint, batch = noisy.checkpoint(), noisy.batch(2, 4)
    iterations: Any = {"iterations": 24}

    def run(tolerance: float) -> tuple[list[float], list[Any]]:
        told: list[Any] = []
        engine: Any = ENGINES[name]
        found = infer(
            checkpoint, batch, engine=engine(tolerance=tolerance, **iterations), callback=lambda *a: told.append(a)
        )
        return found.objective, told

    whole, _ = run(0.0)
    assert len(whole) == 24
    # an oracle of its own: the rise between means of five neighbours
    means = torch.tensor(whole, dtype=torch.float64).unfold(0, 5, 1).mean(1)
    rises = (means[5:] - means[:-5]).tolist()
    ordered = sorted(rise for rise in rises if rise > 0) or [1e-6]
    middle = len(ordered) // 2
    tolerance = (ordered[middle - 1] + ordered[middle]) / 2
    expected = next((FIRST + n for n, rise in enumerate(rises) if rise < tolerance), 24)
    for asked, length in ((tolerance, expected), (math.inf, FIRST)):
        objective, told = run(asked)
        assert objective == whole[:length]
        assert told == [(n, 24, value) for n, value in enumerate(objective, 1)]


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("tolerance", [-1.0, math.nan])
def test_a_tolerance_below_zero_is_refused(name: str, tolerance: float) -> None:
    engine: Any = ENGINES[name]
    with pytest.raises(ValueError, match="tolerance"):
        engine(tolerance=tolerance)
