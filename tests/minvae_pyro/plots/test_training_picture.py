from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from minvae_pyro.errors import UserError
from minvae_pyro.plots import training as picture
from minvae_pyro.plots.training import draw_run


def log(folder: Path, version: int, *lines: str) -> None:
    file = folder / f"csv/version_{version}/metrics.csv"
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(["epoch,step,train/loss", *lines]))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """(epochs, 2) of each picture that is drawn."""
    found: list[np.ndarray] = []
    draw = picture.training_figure

    def watched(metrics: pd.DataFrame) -> Figure:
        found.append(metrics[["epoch", "train/loss"]].to_numpy(dtype=float))
        return draw(metrics)

    monkeypatch.setattr(picture, "training_figure", watched)
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


def test_a_folder_without_a_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no metrics"):
        draw_run(tmp_path)
