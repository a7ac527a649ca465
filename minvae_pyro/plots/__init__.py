"""Figures: what enhancement did to a recording, and how a training went.

Figures are plain `matplotlib.figure.Figure` objects, without pyplot and its global state: they can be drawn
in threads, on machines without a screen, and are freed like any other object. Colours are safe for colour-
blind readers (Okabe & Ito, 2008) and in grey print.
"""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.video.track import MouthTrack
from minvae_pyro.writing import write_whole

_BLUE, _VERMILLION, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#999999"  # Okabe and Ito
_COLUMNS = 2000  # of a spectrogram: more than a page has dots
_WINDOW_SECONDS = 0.032
_DYNAMIC_RANGE = 70.0  # dB below the loudest spot that are told apart
_CROPS = 14  # in the strip
_SUFFIXES = (".png", ".pdf", ".svg")


def enhancement_figure(
    noisy: Tensor,
    enhanced: Tensor,
    clean: Tensor | None = None,
    *,
    sample_rate: int,
    audio_responsibility: Tensor | None = None,
    frame_times: Tensor | None = None,
    mouth: MouthTrack | None = None,
    objective: Sequence[float] | Tensor | None = None,
    title: str | None = None,
) -> Figure:
    """Draw what enhancement did to a recording, from top to bottom on one time axis.

    Spectrograms of the noisy, the enhanced and, when given, the clean sound, on one scale of decibels; the
    audio responsibility with the spans without a mouth shaded; a strip of mouths; and below, on an axis of
    its own, the objective of the inference.

    Args:
        noisy: (samples,) the recording.
        enhanced: (samples,) the result.
        clean: (samples,) the truth, where it is known.
        sample_rate: Hz.
        audio_responsibility: (N,) probability that the sound, not the mouth, explains frame n.
        frame_times: (N,) centres of those frames in seconds; evenly spread over the sound by default.
        mouth: Crops on the same clock, of the video or aligned to the frames.
        objective: One value an iteration, in nats.
        title: Above all.

    Returns:
        The figure, to be saved by `save_figure`.
    """
    sounds = {"noisy": noisy, "enhanced": enhanced} | ({} if clean is None else {"clean": clean})
    heights = [2.0] * len(sounds) + [1.1] * (audio_responsibility is not None)
    heights += [0.55] * (mouth is not None) + [1.3] * (objective is not None)
    figure = Figure(figsize=(10, 1.2 * sum(heights)), layout="constrained")
    figure.suptitle(title or "")
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=[1, 0.018])
    rows = iter(range(len(heights)))

    duration = max(len(sound) for sound in sounds.values()) / sample_rate
    timed: list[Axes] = []
    spectrograms = {name: _spectrogram(sound, sample_rate) for name, sound in sounds.items()}
    loudest = max(float(spectrogram.max()) for spectrogram in spectrograms.values())
    scale = Normalize(loudest - _DYNAMIC_RANGE, loudest)
    for name, spectrogram in spectrograms.items():
        timed.append(figure.add_subplot(grid[next(rows), 0]))
        extent = (0.0, len(sounds[name]) / sample_rate, 0.0, sample_rate / 2000)
        timed[-1].imshow(spectrogram, origin="lower", aspect="auto", extent=extent, cmap="magma", norm=scale)
        timed[-1].set_ylabel(f"{name}\nfrequency (kHz)")
    colours = figure.add_subplot(grid[: len(sounds), 1])
    figure.colorbar(ScalarMappable(scale, "magma"), cax=colours, label="power (dB)")

    if audio_responsibility is not None:
        timed.append(figure.add_subplot(grid[next(rows), 0]))
        times = _spread(len(audio_responsibility), duration) if frame_times is None else frame_times
        _draw_responsibility(timed[-1], audio_responsibility, times, mouth)
    if mouth is not None:
        timed.append(figure.add_subplot(grid[next(rows), 0]))
        _draw_strip(timed[-1], mouth, duration)
    for axes in timed:
        axes.set_xlim(0, duration)
        axes.tick_params(labelbottom=axes is timed[-1])
    timed[-1].set_xlabel("time (s)")

    if objective is not None:
        axes = figure.add_subplot(grid[next(rows), 0])
        values = torch.as_tensor(objective).detach().cpu().numpy()
        axes.plot(np.arange(1, len(values) + 1), values, color=_VERMILLION)
        axes.set(xlabel="iteration", ylabel="objective (nats)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    figure.align_ylabels()
    return figure


def training_figure(metrics: pd.DataFrame) -> Figure:
    """Draw how a training went: one panel for each quantity, one line for each split.

    Args:
        metrics: A column `epoch` and columns of numbers named `split/quantity`, such as `train/elbo` and
            `validation/elbo`; a name without a slash is a quantity of its own. Empty cells are left out, as
            Lightning's CSV logger writes training and validation in different rows; several values of one
            epoch are averaged.

    Returns:
        The figure, to be saved by `save_figure`.

    Raises:
        UserError: There is no column `epoch`, or nothing beside it.
    """
    if "epoch" not in metrics:
        raise UserError("cannot draw a training without a column 'epoch': give the metrics that it logged")
    columns = metrics.drop(columns="step", errors="ignore").select_dtypes("number")
    epochs = columns.groupby("epoch").mean().dropna(axis="columns", how="all")
    if epochs.columns.empty:
        raise UserError("cannot draw a training without any numbers beside 'epoch'")
    panels: dict[str, dict[str, pd.Series]] = {}
    for name in epochs.columns:
        split, _, quantity = str(name).rpartition("/")
        panels.setdefault(quantity, {})[split] = epochs[name].dropna()

    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(4.2 * across, 2.9 * down), layout="constrained")
    for place, (quantity, lines) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(down, across, place)
        for (split, line), colour, dash in zip(
            lines.items(), (_BLUE, _VERMILLION, _GREEN, _GREY), ("-", "--", "-.", ":"), strict=False
        ):
            axes.plot(line.index, line, color=colour, linestyle=dash, marker=".", label=split)
        axes.set(xlabel="epoch", title=quantity.replace("_", " "))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if any(lines):
            axes.legend()
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Save a figure, whole or not at all.

    Args:
        figure: What to save.
        path: Ends in .png, .pdf or .svg.
        overwrite: Replace a file that exists.

    Returns:
        The path.

    Raises:
        UserError: Another suffix, an existing file, a folder that is missing or cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise UserError(f"cannot save a figure as {path}: the name must end in one of {', '.join(_SUFFIXES)}")
    drawing = io.BytesIO()
    figure.savefig(drawing, format=suffix[1:], dpi=150)
    return write_whole(path, drawing.getvalue(), overwrite=overwrite)


def _spectrogram(sound: Tensor, sample_rate: int) -> npt.NDArray[np.float32]:
    """Power in dB, (frequencies, columns): at most `_COLUMNS` columns, each the mean over its share of time.

    About 4096 frames are transformed at once, so that hours fit in memory.
    """
    window = max(16, round(_WINDOW_SECONDS * sample_rate))
    hop = window // 4
    sound = sound.detach().to("cpu", torch.float32)
    frames = max(1, -(-len(sound) // hop))
    share = -(-frames // _COLUMNS)  # frames in a column
    columns = -(-frames // share)
    shape = torch.hann_window(window)
    shape = shape / shape.norm()
    power = torch.empty(columns, window // 2 + 1)
    block = max(1, 4096 // share)  # columns at once
    padded = torch.nn.functional.pad(sound, (window // 2, columns * share * hop + window - len(sound)))
    for first in range(0, columns, block):
        last = min(first + block, columns)
        stretch = padded[first * share * hop : (last * share - 1) * hop + window]
        spectrum = torch.fft.rfft(stretch.unfold(0, window, hop) * shape)
        power[first:last] = spectrum.abs().square().reshape(last - first, share, -1).mean(1)
    return (10 * (power.T + 1e-12).log10()).numpy()


def _draw_responsibility(axes: Axes, responsibility: Tensor, times: Tensor, mouth: MouthTrack | None) -> None:
    axes.plot(times.cpu().numpy(), responsibility.detach().cpu().numpy(), color=_BLUE, linewidth=1.2)
    if mouth is not None and not mouth.found.all():
        for start, end in _spans_without_mouth(mouth):
            span = axes.axvspan(start, end, color=_GREY, alpha=0.35, linewidth=0)
        axes.legend([span], ["no mouth seen"], loc="upper right", fontsize="small")
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([0, 0.5, 1], ["0 (mouth)", "0.5", "1 (sound)"])
    axes.set_ylabel("audio\nresponsibility")
    axes.grid(alpha=0.3)


def _spans_without_mouth(mouth: MouthTrack) -> list[tuple[float, float]]:
    """Start and end in seconds of each run of frames in which no mouth was found."""
    missing = (~mouth.found).int().cpu()
    step = float(mouth.times.diff().median()) if len(missing) > 1 else 0.0
    turns = torch.diff(missing, prepend=torch.zeros(1), append=torch.zeros(1))
    starts, ends = (turns > 0).nonzero()[:, 0], (turns < 0).nonzero()[:, 0] - 1
    times = mouth.times.cpu()
    pairs = zip(times[starts].tolist(), times[ends].tolist(), strict=True)
    return [(start - step / 2, end + step / 2) for start, end in pairs]


def _draw_strip(axes: Axes, mouth: MouthTrack, duration: float) -> None:
    """A few mouths, each at its time."""
    width = duration / _CROPS
    times = mouth.times.cpu().double()
    for cell in range(_CROPS if len(times) else 0):
        middle = (cell + 0.5) * width
        nearest = int((times - middle).abs().argmin())
        extent = (middle - 0.46 * width, middle + 0.46 * width, 0.0, 1.0)
        if mouth.found[nearest] and abs(float(times[nearest]) - middle) <= width:
            crop = mouth.crops[nearest].cpu().numpy()
            axes.imshow(crop, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")
        else:
            axes.fill_between(extent[:2], 0, 1, color=_GREY, alpha=0.35, linewidth=0)
    axes.set(ylim=(0, 1), yticks=[], ylabel="mouth")


def _spread(frames: int, duration: float) -> Tensor:
    """Times of frames of which nothing is known but their number."""
    return (torch.arange(frames) + 0.5) * (duration / max(frames, 1))
