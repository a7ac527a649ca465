"""The responsibility over time, and the mouths that it is about."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.plots.spectrograms import share_time
from minvae_pyro.plots.style import GREY, line_style
from minvae_pyro.video.track import MouthTrack

_CROPS = 14  # in the strip
_HATCHES = ("//", "\\\\", "..")


def responsibility_figure(
    responsibility: Tensor | Mapping[str, Tensor],
    frame_times: Tensor,
    mouth: MouthTrack | None = None,
    *,
    spans: Mapping[str, tuple[float, float]] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the audio responsibility over time under the strip of mouths; spans without a mouth are shaded.

    Args:
        responsibility: (N,) probability that the sound, not the mouth, explains frame n; several by name.
        frame_times: (N,) centres of the frames in seconds.
        mouth: Crops on the same clock.
        spans: Further spans to mark, from and to in seconds, by name: where something was covered, say.
        title: Above all.

    Raises:
        UserError: Not one value for each time.
    """
    lines = responsibility if isinstance(responsibility, Mapping) else {"": responsibility}
    for name, line in lines.items():
        if line.shape != frame_times.shape:
            shapes = f"{tuple(line.shape)} for times of shape {tuple(frame_times.shape)}"
            raise UserError(f"cannot draw a responsibility {name} of shape {shapes}: give a value for each frame")
    heights = [1.0] * (mouth is not None) + [2.2]
    figure = Figure(figsize=(10, 0.5 + sum(heights)), layout="constrained")
    figure.suptitle(title or "")
    rows = list(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    duration = float(frame_times[-1] + (frame_times[-1] - frame_times[0]) / max(len(frame_times) - 1, 1) / 2)
    if mouth is not None:
        draw_strip(rows[0], mouth, duration)
    draw_responsibility(rows[-1], lines, frame_times, mouth)
    draw_spans(rows[-1], spans or {})
    if rows[-1].get_legend_handles_labels()[1]:
        figure.legend(loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    share_time(rows, duration)
    return figure


def draw_responsibility(
    axes: Axes, lines: Mapping[str, Tensor], times: Tensor, mouth: MouthTrack | None = None
) -> None:
    """Draw responsibilities, (N,) each, on axes, with the spans without a mouth shaded."""
    for number, (name, line) in enumerate(lines.items()):
        look = line_style(number) | {"marker": ""}
        axes.plot(times.cpu().numpy(), line.detach().cpu().numpy(), linewidth=1.2, label=name or None, **look)
    if mouth is not None and not mouth.found.all():
        for number, (start, end) in enumerate(_spans_without_mouth(mouth)):
            label = None if number else "no mouth seen"
            axes.axvspan(start, end, color=GREY, alpha=0.35, linewidth=0, label=label)
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([0, 0.5, 1], ["0 (mouth)", "0.5", "1 (sound)"])
    axes.set_ylabel("audio\nresponsibility")
    axes.grid(alpha=0.3)


def draw_spans(axes: Axes, spans: Mapping[str, tuple[float, float]]) -> None:
    """Hatch spans of time, from and to in seconds, each with its name for the legend."""
    for number, (name, (start, end)) in enumerate(spans.items()):
        hatch = _HATCHES[number % len(_HATCHES)]
        axes.axvspan(start, end, facecolor="none", edgecolor=GREY, hatch=hatch, label=name)


def draw_strip(axes: Axes, mouth: MouthTrack, duration: float) -> None:
    """Draw a few mouths, each at its time."""
    width = duration / _CROPS
    times = mouth.times.cpu().double()
    for cell in range(_CROPS if len(times) else 0):
        middle = (cell + 0.5) * width
        nearest = int((times - middle).abs().argmin())
        extent = (middle - 0.46 * width, middle + 0.46 * width, 0.0, 1.0)
        if mouth.found[nearest] and abs(float(times[nearest]) - middle) <= width:
            crop = mouth.select(slice(nearest, nearest + 1)).crops[0].cpu().numpy()
            axes.imshow(crop, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")
        else:
            axes.fill_between(extent[:2], 0, 1, color=GREY, alpha=0.35, linewidth=0)
    axes.set(ylim=(0, 1), yticks=[], ylabel="mouth")


def _spans_without_mouth(mouth: MouthTrack) -> list[tuple[float, float]]:
    """Start and end in seconds of each run of frames in which no mouth was found."""
    times = mouth.times.cpu()
    step = float(times.diff().median()) if len(times) > 1 else 0.0
    runs = np.ma.clump_masked(np.ma.array(times.numpy(), mask=~mouth.found.cpu().numpy()))
    return [(float(times[run.start]) - step / 2, float(times[run.stop - 1]) + step / 2) for run in runs]
