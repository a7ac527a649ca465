"""The picture of a run: its metrics over the epochs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from minvae_pyro.errors import UserError
from minvae_pyro.plots import save_figure, training_figure

NAME = "training.png"
"""The picture, in the folder of the run."""


def draw_run(output: Path) -> Path:
    """Draw what a run logged, from all stretches that it went on in, over the picture of before.

    Args:
        output: folder of the run.

    Returns:
        The picture.

    Raises:
        UserError: nothing was logged there.
    """
    metrics = pd.DataFrame()
    for log in sorted(output.glob("csv/version_*/metrics.csv"), key=_number):
        stretch = pd.read_csv(log)
        # it began after the last complete epoch, or over again
        earlier = metrics[metrics["epoch"] < stretch["epoch"].min()] if len(metrics) else metrics
        metrics = pd.concat([earlier, stretch], ignore_index=True)
    if metrics.empty:
        raise UserError(f"{output} has no metrics to draw: give the folder of a run of minvae train.")
    return save_figure(training_figure(metrics), output / NAME, overwrite=True)


def _number(log: Path) -> int:
    return int(log.parent.name.removeprefix("version_"))
