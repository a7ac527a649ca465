from pathlib import Path

import cv2
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from minvae_pyro.errors import UserError
from minvae_pyro.plots import save_figure
from minvae_pyro.plots.style import drawn, line_style


def line() -> Figure:
    figure = Figure(figsize=(10, 2))
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def test_saving_writes_a_picture_once(tmp_path: Path) -> None:
    figure = line()
    path = save_figure(figure, tmp_path / "figure.png")
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape[1] == 1500
    assert picture.std() > 10
    with pytest.raises(UserError, match="exists"):
        save_figure(figure, path)
    assert save_figure(figure, path, overwrite=True) == path
    assert [entry.name for entry in tmp_path.iterdir()] == ["figure.png"]
    assert save_figure(figure, tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_a_suffix_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.png, \.pdf, \.svg"):
        save_figure(Figure(), tmp_path / "figure.wav")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_figure_is_the_same_file(kind: str) -> None:
    assert drawn(line(), kind) == drawn(line(), kind)


def test_sixteen_lines_are_distinct() -> None:
    looks = [tuple(line_style(number).values()) for number in range(16)]
    assert len(set(looks)) == 16
    # also in grey print: no two of the first eight share a marker
    assert len({look[2] for look in looks[:8]}) == 8
    assert len({to_rgb(look[0]) for look in looks[:8]}) == 8
