"""When an engine has done enough: the objective has ceased to rise."""

from __future__ import annotations

from collections.abc import Sequence

WINDOW = 5
"""Iterations over which the objective is averaged: one draw of z makes a single value noisy."""


def has_settled(objective: Sequence[float], tolerance: float) -> bool:
    """Whether the mean of the last five values has risen by less than the tolerance over that of the five before.

    Args:
        objective: after each iteration so far, higher is better.
        tolerance: in the unit of the objective; zero never settles, not even where the objective falls.

    Example:
        >>> rising = [float(value) for value in range(20)]
        >>> has_settled(rising, 2.0), has_settled(rising, 10.0), has_settled(rising, 0.0)
        (False, True, False)
    """
    if tolerance == 0 or len(objective) < 2 * WINDOW:
        return False
    before, last = sum(objective[-2 * WINDOW : -WINDOW]), sum(objective[-WINDOW:])
    return (last - before) / WINDOW < tolerance
