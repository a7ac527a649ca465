"""How inference climbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.plots.style import line_style


def objective_figure(
    traces: Mapping[str, Sequence[float] | Tensor],
    seconds: Mapping[str, float | Sequence[float] | Tensor] | None = None,
    *,
    quantity: str = "objective (nats per frame)",
    title: str | None = None,
) -> Figure:
    """Draw what several inferences reached after each iteration.

    Args:
        traces: One value an iteration, by name.
        seconds: Of work, by the same names: after each iteration, or in all, which is then spread evenly. With them a
            second panel shows the same against time.
        quantity: What the values are, with its unit.
        title: Above all.

    Raises:
        UserError: No traces, seconds of other names, or not as many seconds as values.
    """
    if not traces:
        raise UserError("there is no trace to draw: give at least one by name")
    if seconds is not None and set(seconds) != set(traces):
        raise UserError(f"seconds of {', '.join(seconds)} do not belong to the traces {', '.join(traces)}")
    panels = 1 if seconds is None else 2
    figure = Figure(figsize=(5 * panels, 3.6), layout="constrained")
    figure.suptitle(title or "")
    grid = figure.subplots(1, panels, squeeze=False, sharey=True)[0]
    for number, (name, trace) in enumerate(traces.items()):
        values = torch.as_tensor(trace, dtype=torch.float64).detach().cpu().numpy()
        look = line_style(number) | {"markevery": max(1, len(values) // 8), "markersize": 4}
        places = [np.arange(1, len(values) + 1)]
        if seconds is not None:
            places.append(_clock(name, seconds[name], len(values)))
        for axes, place in zip(grid, places, strict=True):
            axes.plot(place, values, label=name, **look)
    grid[0].set(xlabel="iteration", ylabel=quantity)
    grid[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    if seconds is not None:
        grid[1].set_xlabel("work (s)")
    for axes in grid:
        axes.grid(alpha=0.3)
    grid[-1].legend(fontsize="small")
    return figure


def _clock(name: str, seconds: float | Sequence[float] | Tensor, iterations: int) -> np.ndarray:
    clock = torch.as_tensor(seconds, dtype=torch.float64).detach().cpu().numpy()
    if clock.ndim == 0:
        return clock * np.arange(1, iterations + 1) / max(iterations, 1)
    if clock.shape != (iterations,):
        raise UserError(f"{name} has {len(clock)} times for {iterations} values: give one for each, or their sum")
    return clock
