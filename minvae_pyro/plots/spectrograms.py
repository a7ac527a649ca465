"""Pictures over time and frequency: sounds, and the gain that enhances them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from minvae_pyro.audio.pitch import pitch_of
from minvae_pyro.errors import UserError
from minvae_pyro.plots.scales import Rows, Scale, check_scale, constant_q_rows, draw_pitch, mel_rows

_COLUMNS = 2000  # of a spectrogram: more than a page has dots
_WINDOW_SECONDS = 0.032
_DYNAMIC_RANGE = 70.0  # dB below the loudest spot that are told apart


def spectrogram_figure(
    sounds: Mapping[str, Tensor],
    sample_rate: int,
    *,
    title: str | None = None,
    scale: Scale = "linear",
    pitch: bool = False,
) -> Figure:
    """Draw spectrograms of sounds, (samples,) each, by name: one below the other, on one scale of decibels.

    Args:
        sounds: Each one channel.
        sample_rate: Hz.
        title: Above all.
        scale: Of the frequencies: "linear", "mel", or "constant-q", on which semitones are equally far apart.
        pitch: Whether the pitch of the voice is drawn in, and when there is one (pYIN).

    Raises:
        UserError: No sound, one that is not a row of samples, no such scale, or what needs librosa without it.
    """
    if not sounds:
        raise UserError("there is no sound to draw: give at least one by name")
    for name, sound in sounds.items():
        if sound.dim() != 1 or not len(sound):
            raise UserError(f"cannot draw {name} of shape {tuple(sound.shape)}: give (samples,), mixed to one channel")
    figure = Figure(figsize=(10, 0.4 + 2.3 * len(sounds)), layout="constrained")
    figure.suptitle(title or "")
    grid = figure.add_gridspec(len(sounds), 2, width_ratios=[1, 0.018])
    rows = [figure.add_subplot(grid[row, 0]) for row in range(len(sounds))]
    draw_spectrograms(rows, sounds, sample_rate, figure.add_subplot(grid[:, 1]), scale=scale, pitch=pitch)
    share_time(rows, max(map(len, sounds.values())) / sample_rate)
    figure.align_ylabels()
    return figure


def gain_figure(
    gain: Tensor, frame_times: Tensor | None = None, *, sample_rate: int = 16000, title: str | None = None
) -> Figure:
    """Draw a Wiener gain, (N, F) in [0, 1]: what share of the amplitude passes at each time and frequency.

    Frequencies are evenly spread from 0 to half the sample rate. ``frame_times``, (N,), are the centres of the frames
    in seconds; frame numbers are shown when omitted.

    Raises:
        UserError: The gain has another number of axes.
    """
    if gain.dim() != 2:
        raise UserError(f"cannot draw a gain of shape {tuple(gain.shape)}: give (frames, frequencies) of one recording")
    figure = Figure(figsize=(10, 3), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(
        gain.detach().cpu().T.numpy(),
        origin="lower",
        aspect="auto",
        extent=(*frame_edges(gain.shape[0], frame_times), 0.0, sample_rate / 2000),
        cmap="cividis",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    figure.colorbar(image, ax=axes, label="Wiener gain", pad=0.01)
    axes.set(xlabel="frame" if frame_times is None else "time (s)", ylabel="frequency (kHz)", title=title or "")
    return figure


def draw_spectrograms(
    rows: Sequence[Axes],
    sounds: Mapping[str, Tensor],
    sample_rate: int,
    colours: Axes,
    highest: float | None = None,
    scale: Scale = "linear",
    pitch: bool = False,
) -> None:
    """Draw a sound on each of as many axes, up to some Hz, in decibels that are shown on axes of their own."""
    check_scale(scale)
    top = sample_rate / 2 if highest is None else min(highest, sample_rate / 2)
    pictures = {name: _rows(sound, sample_rate, scale) for name, sound in sounds.items()}
    levels = {name: _decibels(picture.power) for name, picture in pictures.items()}
    loudest = max(float(level.max()) for level in levels.values())
    shades = Normalize(loudest - _DYNAMIC_RANGE, loudest)
    for axes, (name, picture) in zip(rows, pictures.items(), strict=True):
        whole = sample_rate / 2000 if scale == "linear" else float(len(picture.power))
        extent = (0.0, len(sounds[name]) / sample_rate, 0.0, whole)
        axes.imshow(levels[name], origin="lower", aspect="auto", extent=extent, cmap="magma", norm=shades)
        axes.set_ylabel(f"{name}\nfrequency (kHz)")
        height = _kilohertz if scale == "linear" else picture.height
        if scale != "linear":
            picture.label(axes)
        if pitch:
            draw_pitch(axes, pitch_of(sounds[name], sample_rate), height)
        axes.set_ylim(0, whole if top == sample_rate / 2 else float(height(np.array([top]))[0]))
    colours.figure.colorbar(ScalarMappable(shades, "magma"), cax=colours, label="power (dB)")


def _rows(sound: Tensor, sample_rate: int, scale: Scale) -> Rows:
    if scale == "constant-q":
        return constant_q_rows(sound, sample_rate, _COLUMNS)
    power = _power(sound, sample_rate, _COLUMNS)
    if scale == "mel":
        return mel_rows(power, sample_rate)
    return Rows(power, np.linspace(0, sample_rate / 2, len(power)))


def _kilohertz(frequency: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return frequency / 1000


def share_time(rows: Sequence[Axes], duration: float) -> None:
    """Let axes that stand below each other show the same seconds, with numbers under the last."""
    for axes in rows:
        axes.set_xlim(0, duration)
        axes.tick_params(labelbottom=axes is rows[-1])
    rows[-1].set_xlabel("time (s)")


def frame_edges(frames: int, frame_times: Tensor | None) -> tuple[float, float]:
    """Where the first frame begins and the last ends, half a step beyond their centres."""
    if frame_times is None:
        return -0.5, frames - 0.5
    step = float(frame_times.double().diff().median()) if frames > 1 else 1.0
    return float(frame_times[0]) - step / 2, float(frame_times[-1]) + step / 2


def power_spectrogram(sound: Tensor, sample_rate: int, most_columns: int = _COLUMNS) -> npt.NDArray[np.float32]:
    """Power in dB, (frequencies, columns): at most so many columns, each the mean over its share of time."""
    return _decibels(_power(sound, sample_rate, most_columns))


def _decibels(power: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return 10 * np.log10(power + np.float32(1e-12))


def _power(sound: Tensor, sample_rate: int, most_columns: int) -> npt.NDArray[np.float32]:
    """About 4096 frames are transformed at once, so that hours fit in memory."""
    window = max(16, round(_WINDOW_SECONDS * sample_rate))
    hop = window // 4
    sound = sound.detach().to("cpu", torch.float32)
    frames = max(1, -(-len(sound) // hop))
    share = -(-frames // most_columns)  # frames in a column
    columns = -(-frames // share)
    shape = torch.nn.functional.normalize(torch.hann_window(window), dim=0)
    power = torch.empty(columns, window // 2 + 1)
    block = max(1, 4096 // share)  # columns at once
    padded = torch.nn.functional.pad(sound, (window // 2, columns * share * hop + window - len(sound)))
    for first in range(0, columns, block):
        last = min(first + block, columns)
        stretch = padded[first * share * hop : (last * share - 1) * hop + window]
        spectrum = torch.fft.rfft(stretch.unfold(0, window, hop) * shape)
        power[first:last] = spectrum.abs().square().reshape(last - first, share, -1).mean(1)
    return power.T.numpy()
