"""Draw the audio responsibility over time, by video, of an evaluation or an ablation.

python -m benchmarks.responsibility results --mixtures ../shared/data/mixtures.csv --output responsibility.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.common import answer
from minvae_pyro.audio.stft import STFT
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.experiment import read_table
from minvae_pyro.evaluation.jobs import responsibility_file
from minvae_pyro.evaluation.mixtures import Mixture, read_mixtures
from minvae_pyro.plots.style import BLUE, VERMILLION, save_figure

_FACTOR = "factor:video"
_SPEECH = "#CCCCCC"
_RANGE = 40.0  # dB below the loudest frame that the outline of the speech shows


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.responsibility", description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, metavar="FOLDER", help="of `minvae ablate` with a factor `video`")
    parser.add_argument("--mixtures", type=Path, required=True, metavar="CSV", help="table of its mixtures")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.png", help="the figure")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when the figure is drawn, 2 with one line on stderr when something that was given cannot be used.
    """
    given = parser().parse_args(arguments)
    return answer(lambda: benchmark(given.results, given.mixtures, given.output))


def benchmark(results: Path, mixtures: Path, output: Path) -> str:
    """Draw the first system of each video, on the mixtures with the worst and the best ratio of each talker.

    Args:
        results: folder of an experiment with a factor ``video``.
        mixtures: the table of its mixtures.
        output: the figure, which replaces an earlier one.

    Raises:
        UserError: there is no such experiment, or it has no videos to compare.
    """
    table = read_table(results)
    if _FACTOR not in table:
        raise UserError(f"{results} has no factor video: measure `minvae ablate enhancement` or `videos`.")
    systems = table.dropna(subset=[_FACTOR]).drop_duplicates(_FACTOR).set_index(_FACTOR)["system"]
    chosen = _chosen(read_mixtures(mixtures))
    traces = {
        video: {mixture.id: _trace(responsibility_file(results, system, mixture.id)) for mixture in chosen}
        for video, system in systems.items()
    }
    save_figure(responsibility_figure(chosen, traces), output, overwrite=True)
    return f"{output}: {', '.join(systems)}"


def _chosen(mixtures: Sequence[Mixture]) -> list[Mixture]:
    found = []
    for talker in dict.fromkeys(mixture.talker for mixture in mixtures):
        own = [mixture for mixture in mixtures if mixture.talker == talker]
        found += [min(own, key=lambda one: one.snr_db), max(reversed(own), key=lambda one: one.snr_db)]
    return found


def _trace(file: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(file)
    except OSError as error:
        raise UserError(f"there is no {file}: the system has no responsibility, or a mixture failed.") from error


def responsibility_figure(mixtures: Sequence[Mixture], traces: Mapping[object, Mapping[str, pd.DataFrame]]) -> Figure:
    """The audio responsibility over time: a row for each mixture, a column for each video.

    Args:
        mixtures: the level of their clean sound is drawn in the background.
        traces: for each video and each id the columns ``time`` (s) and ``audio_responsibility``.
    """
    figure = Figure(figsize=(11, 0.8 + 1.45 * len(mixtures)), layout="constrained")
    grid = figure.subplots(len(mixtures), len(traces), squeeze=False, sharex=True, sharey=True)
    for mixture, line in zip(mixtures, grid, strict=True):
        clean = mixture.build()[1]
        for (video, of_video), axes in zip(traces.items(), line, strict=True):
            times, values = of_video[mixture.id][["time", "audio_responsibility"]].to_numpy().T
            _draw_speech(axes, clean, mixture.sample_rate)
            axes.plot(times, values, color=BLUE, linewidth=1.5, label="audio responsibility")
            mean = float(values.mean())
            axes.axhline(mean, color=VERMILLION, linewidth=1.0, linestyle="--", label="its mean")
            axes.set_ylim(-0.04, 1.04)
            axes.set_xlim(0, len(clean) / mixture.sample_rate)
            if video == "frozen":
                axes.axvline(1.0, color="black", linestyle=":", linewidth=1.2, label="the picture freezes")
        line[0].set_ylabel(f"{mixture.talker}, {mixture.snr_db:g} dB\n{mixture.noise_name}", fontsize="small")
        line[0].set_yticks([0, 0.5, 1], ["0 mouth", "0.5", "1 sound"])
    for video, axes in zip(traces, grid[0], strict=True):
        axes.set_title(f"video: {video}", fontsize="medium")
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
