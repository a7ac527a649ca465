import numpy as np
import pytest
import torch

from minvae_pyro.errors import UserError
from minvae_pyro.plots import responsibility_figure
from minvae_pyro.video.track import MouthTrack

TIMES = torch.arange(61) / 30


def mouths(lost: slice) -> MouthTrack:
    found = torch.ones(50, dtype=torch.bool)
    found[lost] = False
    return MouthTrack(torch.zeros(50, 67, 67, dtype=torch.uint8), torch.arange(50, dtype=torch.float64) / 25, found)


def test_lines_stand_under_the_mouths_at_their_times() -> None:
    lines = {"shipped": torch.rand(61), "published": torch.rand(61)}
    figure = responsibility_figure(lines, TIMES, mouths(slice(25, 35)), spans={"hand": (0.5, 0.7)})
    strip, axes = figure.axes
    assert strip.images
    assert strip.get_xlim() == axes.get_xlim()
    for drawn, (name, values) in zip(axes.lines, lines.items(), strict=True):
        assert drawn.get_label() == name
        np.testing.assert_allclose(np.asarray(drawn.get_xydata()), torch.stack([TIMES, values], 1).numpy())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*lines, "no mouth seen", "hand"]
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
    np.testing.assert_allclose(spans, [(0.98, 1.38), (0.5, 0.7)])


def test_alone_it_needs_neither_mouth_nor_legend() -> None:
    figure = responsibility_figure(torch.rand(61), TIMES)
    (axes,) = figure.axes
    assert not figure.legends
    assert axes.get_ylim()[0] < 0 < 1 < axes.get_ylim()[1]
    assert axes.get_xlabel() == "time (s)"


def test_a_value_for_each_frame_is_asked_for() -> None:
    with pytest.raises(UserError, match=r"\(60,\).*\(61,\)"):
        responsibility_figure({"short": torch.rand(60)}, TIMES)
