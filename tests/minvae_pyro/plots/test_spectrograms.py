import math

import numpy as np
import pytest
import torch
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.plots import gain_figure, spectrogram_figure

RATE = 16000


def tone(hertz: float, seconds: float = 1.0) -> Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(round(seconds * RATE)) / RATE)


def test_each_sound_has_a_row_with_its_tone_at_its_frequency() -> None:
    figure = spectrogram_figure({"low": tone(1000), "high": 0.1 * tone(6000, 0.5)}, RATE, title="tones")
    low, high, colours = figure.axes
    for axes, kilohertz, seconds in ((low, 1.0, 1.0), (high, 6.0, 0.5)):
        (image,) = axes.images
        decibels, (left, right, bottom, top) = np.asarray(image.get_array()), image.get_extent()
        row = decibels.mean(1).argmax()
        assert bottom + (top - bottom) * (row + 0.5) / len(decibels) == pytest.approx(kilohertz, abs=0.04)
        assert (left, right) == (0, seconds)
        assert axes.get_xlim() == (0, 1)
    assert low.images[0].get_clim() == high.images[0].get_clim()
    assert low.images[0].get_clim()[1] - low.images[0].get_clim()[0] == pytest.approx(70)
    assert high.get_xlabel() == "time (s)"
    assert colours.get_ylabel() == "power (dB)"
    assert figure.get_suptitle() == "tones"


@pytest.mark.parametrize("sounds", [{}, {"stereo": torch.zeros(2, 100)}, {"nothing": torch.zeros(0)}])
def test_sounds_that_cannot_be_drawn_are_refused(sounds: dict[str, Tensor]) -> None:
    with pytest.raises(UserError, match=r"(sound to|cannot) draw"):
        spectrogram_figure(sounds, RATE)


def test_a_gain_stands_at_its_times_and_frequencies() -> None:
    gain = torch.rand(5, 7)
    axes, colours = gain_figure(gain, torch.arange(5) * 0.5, sample_rate=8000).axes
    (image,) = axes.images
    np.testing.assert_array_equal(np.asarray(image.get_array()), gain.T.numpy())
    # frames reach half a step to both sides of their centres, 0 to 2 s
    assert image.get_extent() == [-0.25, 2.25, 0, 4]
    assert image.get_clim() == (0, 1)
    assert (axes.get_xlabel(), colours.get_ylabel()) == ("time (s)", "Wiener gain")
    assert gain_figure(gain).axes[0].images[0].get_extent()[:2] == [-0.5, 4.5]


def test_a_batch_of_gains_is_refused() -> None:
    with pytest.raises(UserError, match=r"\(1, 5, 7\)"):
        gain_figure(torch.rand(1, 5, 7))
