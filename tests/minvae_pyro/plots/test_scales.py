import math
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.plots import enhancement_figure, spectrogram_figure
from minvae_pyro.plots.scales import SCALES, constant_q_rows

RATE = 16000


def tone(hertz: float, seconds: float = 1.0) -> Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(round(seconds * RATE)) / RATE)


def loudest_row(axes) -> float:
    (image,) = axes.images
    return float(np.asarray(image.get_array())[:, 10:-10].mean(1).argmax()) + 0.5


@pytest.mark.parametrize("scale", ["mel", "constant-q"])
@pytest.mark.parametrize("kilohertz", [0.25, 1.0, 4.0])
def test_a_tone_lies_at_its_number_on_the_axis(scale, kilohertz):
    axes = spectrogram_figure({"tone": tone(1000 * kilohertz)}, RATE, scale=scale).axes[0]
    numbers = dict(zip([label.get_text() for label in axes.get_yticklabels()], axes.get_yticks(), strict=True))
    assert loudest_row(axes) == pytest.approx(numbers[f"{kilohertz:g}"], abs=1.0)
    assert axes.get_ylabel() == "tone\nfrequency (kHz)"
    assert axes.images[0].get_extent()[:2] == [0, 1]


def test_octaves_are_equally_far_apart_on_a_constant_q_scale():
    steps = np.diff(spectrogram_figure({"tone": tone(440)}, RATE, scale="constant-q").axes[0].get_yticks())
    np.testing.assert_allclose(steps, 24)


@pytest.mark.parametrize("scale", SCALES)
def test_the_pitch_of_a_voice_lies_on_its_fundamental(scale):
    silence = torch.zeros(RATE // 2)
    figure = spectrogram_figure({"voice": torch.cat([tone(250), silence])}, RATE, scale=scale, pitch=True)
    axes = figure.axes[0]
    (line,) = axes.lines
    times, heights = line.get_data()
    assert np.isnan(heights[110:]).all()
    top = axes.images[0].get_extent()[3]
    row = top / len(axes.images[0].get_array())
    expected = loudest_row(axes) * row
    np.testing.assert_allclose(heights[10:90], expected, atol=1.5 * row)
    assert axes.get_ylim() == (0, top)
    assert times[100] == pytest.approx(1.0)


def test_a_long_sound_has_no_more_columns_than_a_page_has_dots():
    rows = constant_q_rows(tone(440, 3.0), RATE, most_columns=50)
    assert 25 <= rows.power.shape[1] <= 50
    assert rows.centres[rows.power.mean(1).argmax()] == pytest.approx(440, rel=0.02)


@pytest.mark.parametrize("samples", [1, 500])
@pytest.mark.parametrize("scale", SCALES)
def test_short_and_silent_sounds_are_drawn(scale, samples):
    figure = spectrogram_figure({"short": torch.zeros(samples)}, RATE, scale=scale, pitch=True)
    assert np.isfinite(np.asarray(figure.axes[0].images[0].get_array())).all()


def test_what_cannot_be_drawn_is_refused(monkeypatch):
    with pytest.raises(UserError, match="no scale bark of frequencies: choose one of linear, mel, constant-q"):
        spectrogram_figure({"tone": tone(440)}, RATE, scale="bark")
    with pytest.raises(UserError, match="100 Hz leave no room"):
        spectrogram_figure({"tone": tone(440)}, 100, scale="constant-q")
    monkeypatch.setitem(sys.modules, "librosa", None)
    for asked in ({"scale": "mel"}, {"scale": "constant-q"}, {"pitch": True}):
        with pytest.raises(UserError, match="needs librosa, which cannot be loaded"):
            spectrogram_figure({"tone": tone(440)}, RATE, **asked)
    assert spectrogram_figure({"tone": tone(440)}, RATE).axes


def test_the_figure_of_an_enhancement_takes_both():
    figure = enhancement_figure(tone(250), 0.5 * tone(250), sample_rate=RATE, scale="mel", pitch=True)
    assert [len(axes.lines) for axes in figure.axes[:2]] == [1, 1]
