import math
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from minvae_pyro.plots import enhancement_figure, save_figure
from minvae_pyro.video.track import MouthTrack

RATE = 16000


def tone(hertz: float, seconds: float = 2.0, rate: int = RATE) -> torch.Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(round(seconds * rate)) / rate)


def mouths(seconds: float = 2.0, lost: slice = slice(20, 30)) -> MouthTrack:
    frames = round(25 * seconds)
    found = torch.ones(frames, dtype=torch.bool)
    found[lost] = False
    crops = torch.randint(0, 256, (frames, 67, 67), dtype=torch.uint8)
    return MouthTrack(crops, torch.arange(frames, dtype=torch.float64) / 25, found)


def points(axes: Axes, number: int = 0) -> np.ndarray:
    """(points, 2) coordinates of a line."""
    return np.asarray(axes.lines[number].get_xydata(), dtype=float)


def panel(figure: Figure, label: str) -> Axes:
    (axes,) = (axes for axes in figure.axes if label in axes.get_ylabel() + axes.get_title())
    return axes


def peak(axes: Axes) -> tuple[float, float]:
    """Time in s and frequency in kHz of the loudest spot of a spectrogram, read off its axes."""
    (image,) = axes.images
    array, (left, right, bottom, top) = np.asarray(image.get_array()), image.get_extent()
    row, column = np.unravel_index(array.argmax(), array.shape)
    height = bottom + (top - bottom) * (row + 0.5) / array.shape[0]
    return left + (right - left) * (column + 0.5) / array.shape[1], height


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_tone_is_drawn_at_its_time_and_frequency(rate: int) -> None:
    burst = torch.zeros(2 * rate)
    burst[round(1.2 * rate) : round(1.3 * rate)] = tone(3000, 0.1, rate)
    axes = panel(enhancement_figure(burst, tone(1000, 2.0, rate), sample_rate=rate), "noisy")
    time, kilohertz = peak(axes)
    assert time == pytest.approx(1.25, abs=0.06)
    assert kilohertz == pytest.approx(3.0, abs=0.04)
    assert axes.get_xlim() == (0, 2)


def test_spectrograms_share_the_scale_of_the_loudest() -> None:
    figure = enhancement_figure(tone(1000), 0.1 * tone(1000), 0.01 * tone(1000), sample_rate=RATE)
    assert panel(figure, "noisy").get_ylim() == (0, RATE / 2000)
    assert panel(enhancement_figure(tone(1000), tone(1000), sample_rate=RATE, highest=3000.0), "noisy").get_ylim() == (
        0,
        3,
    )
    images = [panel(figure, name).images[0] for name in ("noisy", "enhanced", "clean")]
    assert len({image.get_clim() for image in images}) == 1
    loudest = [float(np.asarray(image.get_array()).max()) for image in images]
    assert images[0].get_clim()[1] == pytest.approx(loudest[0])
    # A tenth of the amplitude is 20 dB less.
    np.testing.assert_allclose(np.diff(loudest), -20, atol=0.01)


def test_only_what_is_given_is_drawn() -> None:
    small = enhancement_figure(tone(500), tone(500), sample_rate=RATE)
    assert len(small.axes) == 3  # two spectrograms and their colours
    full = enhancement_figure(
        tone(500),
        tone(500),
        tone(500),
        sample_rate=RATE,
        audio_responsibility=torch.rand(126),
        mouth=mouths(),
        objective=[-3.0, -2.0, -1.5],
        title="a talker",
    )
    assert len(full.axes) == 7
    assert panel(full, "mouth").get_xlabel() == "time (s)"
    assert full.get_suptitle() == "a talker"


def test_responsibility_stands_at_its_times_and_lost_mouths_are_shaded() -> None:
    times = torch.arange(126) * 256 / RATE
    responsibility = torch.rand(126)
    figure = enhancement_figure(
        tone(500),
        tone(500),
        sample_rate=RATE,
        audio_responsibility=responsibility,
        frame_times=times,
        mouth=mouths(),
    )
    axes = panel(figure, "responsibility")
    np.testing.assert_allclose(points(axes), torch.stack([times, responsibility], 1).numpy())
    assert axes.get_ylim()[0] < 0 < 1 < axes.get_ylim()[1]
    (span,) = axes.patches
    # Frames 20 to 29 at 25 per second, half a frame more on either side.
    assert isinstance(span, Rectangle)
    assert span.get_x() == pytest.approx(0.78)
    assert span.get_x() + span.get_width() == pytest.approx(1.18)


def test_spans_are_hatched_where_they_are_and_named() -> None:
    figure = enhancement_figure(
        tone(500),
        tone(500),
        sample_rate=RATE,
        audio_responsibility=torch.rand(126),
        mouth=mouths(lost=slice(0, 0)),
        spans={"covered": (0.5, 0.75), "frozen": (1.0, 1.5)},
    )
    axes = panel(figure, "responsibility")
    drawn = [(span.get_x(), span.get_x() + span.get_width()) for span in axes.patches]
    np.testing.assert_allclose(drawn, [(0.5, 0.75), (1.0, 1.5)])
    assert len({span.get_hatch() for span in axes.patches}) == 2
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["covered", "frozen"]


def test_strip_shows_found_crops_only() -> None:
    track = mouths(lost=slice(0, 25))
    figure = enhancement_figure(tone(500), tone(500), sample_rate=RATE, mouth=track)
    axes = panel(figure, "mouth")
    assert axes.images
    for image in axes.images:
        left, right, *_ = image.get_extent()
        frame = round((left + right) / 2 * 25)
        assert frame >= 24
        shown = np.asarray(image.get_array())
        assert any(np.array_equal(shown, track.crops[near]) for near in (frame - 1, frame, frame + 1) if near < 50)
    nothing = MouthTrack(torch.zeros(0, 67, 67, dtype=torch.uint8), torch.zeros(0).double(), torch.zeros(0).bool())
    assert not panel(enhancement_figure(tone(9), tone(9), sample_rate=RATE, mouth=nothing), "mouth").images


def test_objective_counts_iterations_from_one() -> None:
    figure = enhancement_figure(tone(9), tone(9), sample_rate=RATE, objective=torch.tensor([-3.0, -1.0]))
    np.testing.assert_allclose(points(panel(figure, "objective")), [[1, -3], [2, -1]])


def test_long_sound_is_pooled_to_a_page_without_losing_power() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(RATE * 120, generator=generator)
    image = panel(enhancement_figure(noise, noise, sample_rate=RATE), "noisy").images[0]
    decibels = np.asarray(image.get_array())
    assert decibels.shape[1] <= 2000
    # White noise of unit power through a window of unit energy: 0 dB, for every column but the padded last.
    assert np.mean(10 ** (decibels[1:-1, :-1] / 10)) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("samples", [1, 10, 160])
def test_tiny_and_silent_sounds_are_drawn(samples: int, tmp_path: Path) -> None:
    silence = torch.zeros(samples)
    figure = enhancement_figure(silence, silence, sample_rate=RATE, audio_responsibility=torch.ones(1))
    assert save_figure(figure, tmp_path / "tiny.png").is_file()


def test_the_level_of_the_estimate_lies_in_the_interval_of_the_draws() -> None:
    sound = torch.sin(torch.arange(8000) / 8)
    draws = sound * torch.linspace(0.5, 1.5, 21)[:, None]
    figure = enhancement_figure(sound, sound, sample_rate=8000, draws=draws)
    (axes,) = [axes for axes in figure.axes if axes.get_ylabel() == "level (dB)"]
    (line,) = axes.get_lines()
    (band,) = axes.collections
    lower, upper = band.get_paths()[0].get_extents().y0, band.get_paths()[0].get_extents().y1
    middle = 10 * math.log10(0.5)
    assert np.allclose(line.get_ydata(), middle, atol=0.2)
    assert lower == pytest.approx(middle + 20 * math.log10(0.55), abs=0.4)
    assert upper == pytest.approx(middle + 20 * math.log10(1.45), abs=0.4)
