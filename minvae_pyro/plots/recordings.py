"""What enhancement did to a recording, on one page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from minvae_pyro.plots.responsibilities import draw_responsibility, draw_strip
from minvae_pyro.plots.spectrograms import draw_spectrograms, share_time
from minvae_pyro.plots.style import VERMILLION
from minvae_pyro.video.track import MouthTrack


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
        objective: One value an iteration, in nats.
        title: Above all.
    """
    sounds = {"noisy": noisy, "enhanced": enhanced} | ({} if clean is None else {"clean": clean})
    heights = [2.0] * len(sounds) + [1.1] * (audio_responsibility is not None)
    heights += [0.55] * (mouth is not None) + [1.3] * (objective is not None)
    figure = Figure(figsize=(10, 1.2 * sum(heights)), layout="constrained")
    figure.suptitle(title or "")
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=[1, 0.018])
    rows = iter(range(len(heights)))

    duration = max(map(len, sounds.values())) / sample_rate
    timed: list[Axes] = [figure.add_subplot(grid[next(rows), 0]) for _ in sounds]
    draw_spectrograms(timed, sounds, sample_rate, figure.add_subplot(grid[: len(sounds), 1]))
    if audio_responsibility is not None:
        timed.append(figure.add_subplot(grid[next(rows), 0]))
        if frame_times is None:
            frames = len(audio_responsibility)
            frame_times = (torch.arange(frames) + 0.5) * (duration / max(frames, 1))
        draw_responsibility(timed[-1], {"": audio_responsibility}, frame_times, mouth)
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
