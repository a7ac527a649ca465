"""Figures of a benchmark: gains per signal-to-noise ratio, and the responsibility over time."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.grid import SYSTEMS, VIDEOS
from benchmarks.tables import METRICS, usual
from minvae_pyro.audio.stft import STFT
from minvae_pyro.evaluation.mixtures import Mixture

# Okabe and Ito (2008), which colour-blind readers can tell apart; markers and dashes for grey print
_STYLES = {
    "a-vae": {"color": "#56B4E9", "marker": "s", "linestyle": ":"},
    "min-vae-published": {"color": "#D55E00", "marker": "^", "linestyle": "--"},
    "min-vae": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
}
_SPEECH = "#CCCCCC"
_RANGE = 40.0  # dB below the loudest frame that the outline of the speech shows


def gains_figure(runs: pd.DataFrame) -> Figure:
    """Gains over the input per signal-to-noise ratio: a row for each talker, a column for each score.

    Points are means over seeds, bars reach from the least to the greatest seed.

    Args:
        runs: as :func:`benchmarks.tables.collect` returns them.
    """
    runs = runs[usual(runs)]
    talkers = list(dict.fromkeys(runs.talker))
    snrs = sorted(runs.snr_db.unique())
    figure = Figure(figsize=(10, 0.6 + 2.6 * len(talkers)), layout="constrained")
    grid = figure.subplots(len(talkers), len(METRICS), squeeze=False, sharex=True, sharey="col")
    for talker, line in zip(talkers, grid, strict=True):
        for (metric, (title, _)), axes in zip(METRICS.items(), line, strict=True):
            for number, (name, system) in enumerate(SYSTEMS.items()):
                one = runs[(runs.talker == talker) & (runs.system == name)]
                if one.empty:
                    continue
                seeds = one.groupby(["snr_db", "seed"])[f"{metric}_gain"].mean().unstack()
                mean = seeds.mean(axis=1)
                reach = [mean - seeds.min(axis=1), seeds.max(axis=1) - mean]
                # side by side, or the bars would hide each other
                places = seeds.index + 0.25 * (number - 1)
                axes.errorbar(places, mean, reach, label=system.label, capsize=3, markersize=5, **_STYLES[name])
            axes.axhline(0, color="black", linewidth=0.8)
            axes.set_xticks(snrs, [f"{snr:+g}" if snr else "0" for snr in snrs])
            axes.set_title(f"{title}, talker {talker}", fontsize="medium")
            axes.grid(alpha=0.3)
        line[0].set_ylabel("gain over the input")
    for axes in grid[-1]:
        axes.set_xlabel("signal-to-noise ratio of the input (dB)")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def responsibility_figure(
    mixtures: Mapping[str, tuple[Mixture, Tensor]], responsibilities: Mapping[str, Mapping[str, Tensor]]
) -> Figure:
    """The audio responsibility over time: a row for each mixture, a column for each video.

    Args:
        mixtures: by id, with their clean sound (samples,), whose level is drawn in the background.
        responsibilities: for each of :data:`benchmarks.grid.VIDEOS` and each id (2, N): times of the frames in
            seconds, audio responsibility.
    """
    figure = Figure(figsize=(11, 0.8 + 1.45 * len(mixtures)), layout="constrained")
    grid = figure.subplots(len(mixtures), len(responsibilities), squeeze=False, sharex=True, sharey=True)
    for (name, (mixture, clean)), line in zip(mixtures.items(), grid, strict=True):
        for video, axes in zip(responsibilities, line, strict=True):
            times, values = responsibilities[video][name].numpy()
            _draw_speech(axes, clean, mixture.sample_rate)
            axes.plot(times, values, color="#0072B2", linewidth=1.5, label="audio responsibility")
            mean = float(values.mean())
            axes.axhline(mean, color="#D55E00", linewidth=1.0, linestyle="--", label="its mean")
            axes.set_ylim(-0.04, 1.04)
            axes.set_xlim(0, len(clean) / mixture.sample_rate)
            if video == "frozen":
                axes.axvline(1.0, color="black", linestyle=":", linewidth=1.2, label="the picture freezes")
        noise = mixture.noise.stem
        line[0].set_ylabel(f"{mixture.talker}, {mixture.snr_db:g} dB\n{noise}", fontsize="small")
        line[0].set_yticks([0, 0.5, 1], ["0 mouth", "0.5", "1 sound"])
    for video, axes in zip(responsibilities, grid[0], strict=True):
        axes.set_title(f"video {VIDEOS[video]}", fontsize="medium")
    for axes in grid[-1]:
        axes.set_xlabel("time (s)")
    entries = {
        label: handle for axes in grid[0] for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(entries.values(), entries.keys(), loc="outside upper center", ncols=len(entries), frameon=False)
    return figure


def _draw_speech(axes: Axes, clean: Tensor, sample_rate: int) -> None:
    """Outline of the level of the speech, from 40 dB below its loudest frame to the loudest."""
    stft = STFT(hop=256, sample_rate=sample_rate)
    level = 10 * (stft(clean).abs().square().sum(-1) + 1e-12).log10()
    outline = (1 + (level - level.max()) / _RANGE).clamp(0, 1)
    times = stft.frame_times(len(outline)).numpy()
    axes.fill_between(times, 0, outline.numpy(), color=_SPEECH, linewidth=0, label="level of the clean speech")
