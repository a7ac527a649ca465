"""What enhancement did to a recording, on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from minvae_pyro.plots.responsibilities import draw_responsibility, draw_spans, draw_strip
from minvae_pyro.plots.scales import Scale
from minvae_pyro.plots.spectrograms import draw_spectrograms, share_time
from minvae_pyro.plots.style import BLUE, VERMILLION
from minvae_pyro.video.track import MouthTrack

_BLOCK_SECONDS = 0.032
_RANGE = 60.0  # dB below the loudest that are shown


def enhancement_figure(
    noisy: Tensor,
    enhanced: Tensor,
    clean: Tensor | None = None,
    *,
    sample_rate: int,
    audio_responsibility: Tensor | None = None,
    frame_times: Tensor | None = None,
    mouth: MouthTrack | None = None,
    spans: Mapping[str, tuple[float, float]] | None = None,
    objective: Sequence[float] | Tensor | None = None,
    draws: Tensor | None = None,
    highest: float | None = None,
    title: str | None = None,
    scale: Scale = "linear",
    pitch: bool = False,
) -> Figure:
    """Draw what enhancement did to a recording, from top to bottom on one time axis.

    Spectrograms of the noisy, the enhanced and, when given, the clean sound, on one scale of decibels; the audio
    responsibility with the spans without a mouth shaded; a strip of mouths; and below, on an axis of its own, the
    objective of the inference.

    Args:
        noisy: (samples,) the recording.
        enhanced: (samples,) the result.
        clean: (samples,) the truth, where it is known.
        sample_rate: Hz.
        audio_responsibility: (N,) probability that the sound, not the mouth, explains frame n.
        frame_times: (N,) centres of those frames in seconds; evenly spread over the sound by default.
        mouth: Crops on the same clock, of the video or aligned to the frames.
        spans: Spans to mark beside the responsibility, from and to in seconds, by name: where a mouth was wrong, say.
        objective: One value an iteration, in nats.
        draws: (draws, samples) of the speech: the level of the estimate is drawn with the interval that holds 90 % of
            those of the draws. The estimate, their mean, lies below them where little is known.
        highest: Hz up to which spectrograms are drawn: there is nothing to see above what the model hears.
        title: Above all.
        scale: Of the frequencies, see :func:`minvae_pyro.plots.spectrogram_figure`.
        pitch: Whether the pitch of the voice is drawn over the spectrograms.

    Raises:
        UserError: ``scale`` or ``pitch`` need librosa, which cannot be loaded.
    """
    sounds = {"noisy": noisy, "enhanced": enhanced} | ({} if clean is None else {"clean": clean})
    heights = [2.0] * len(sounds) + [1.1] * (draws is not None)
    heights += [1.1] * (audio_responsibility is not None)
    heights += [0.55] * (mouth is not None) + [1.3] * (objective is not None)
    figure = Figure(figsize=(10, 1.2 * sum(heights)), layout="constrained")
    figure.suptitle(title or "")
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=[1, 0.018])
    rows = iter(range(len(heights)))

    duration = max(map(len, sounds.values())) / sample_rate
    timed: list[Axes] = [figure.add_subplot(grid[next(rows), 0]) for _ in sounds]
    colours = figure.add_subplot(grid[: len(sounds), 1])
    draw_spectrograms(timed, sounds, sample_rate, colours, highest, scale, pitch)
    if draws is not None:
        timed.append(figure.add_subplot(grid[next(rows), 0]))
        _draw_interval(timed[-1], enhanced, draws, sample_rate)
    if audio_responsibility is not None:
        timed.append(figure.add_subplot(grid[next(rows), 0]))
        if frame_times is None:
            frames = len(audio_responsibility)
            frame_times = (torch.arange(frames) + 0.5) * (duration / max(frames, 1))
        draw_responsibility(timed[-1], {"": audio_responsibility}, frame_times, mouth)
        draw_spans(timed[-1], spans or {})
        if timed[-1].get_legend_handles_labels()[1]:
            timed[-1].legend(loc="upper right", fontsize="small")
    if mouth is not None:
        timed.append(figure.add_subplot(grid[next(rows), 0]))
        draw_strip(timed[-1], mouth, duration)
    share_time(timed, duration)

    if objective is not None:
        axes = figure.add_subplot(grid[next(rows), 0])
        values = torch.as_tensor(objective).detach().cpu().numpy()
        axes.plot(np.arange(1, len(values) + 1), values, color=VERMILLION)
        axes.set(xlabel="iteration", ylabel="objective (nats)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    figure.align_ylabels()
    return figure


def _draw_interval(axes: Axes, enhanced: Tensor, draws: Tensor, sample_rate: int) -> None:
    """The level of the estimate over time, within the pointwise interval of the draws."""
    block = max(1, round(_BLOCK_SECONDS * sample_rate))
    levels = [_levels(sound, block) for sound in (enhanced, *draws)]
    lower, upper = np.quantile(levels[1:], [0.05, 0.95], axis=0)
    times = (np.arange(len(lower)) + 0.5) * block / sample_rate
    axes.fill_between(times, lower, upper, color=BLUE, alpha=0.3, linewidth=0, label="90 % of the draws")
    axes.plot(times, levels[0], color=BLUE, linewidth=1, label="estimate")
    loudest = float(np.max(levels))
    axes.set(ylabel="level (dB)", ylim=(loudest - _RANGE, loudest + 3))
    axes.legend(loc="upper right", fontsize="small")
    axes.grid(alpha=0.3)


def _levels(sound: Tensor, block: int) -> NDArray[np.floating]:
    """Level of each block in decibels."""
    blocks = sound.detach().cpu()[: max(1, len(sound) // block) * block].reshape(-1, min(block, len(sound)))
    return (10 * blocks.square().mean(1).clamp_min(1e-16).log10()).numpy()
