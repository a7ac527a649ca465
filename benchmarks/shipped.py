"""The shipped model on a table of mixtures: every engine, some with several budgets, and the stream."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from rich.progress import Progress
from torch import Tensor

from benchmarks.common import built, fingerprint, markdown
from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.enhancement.enhance import enhance
from minvae_pyro.enhancement.streaming import enhance_stream
from minvae_pyro.evaluation.scores import scores, si_sdr
from minvae_pyro.evaluation.videos import read_once
from minvae_pyro.files import write_atomic
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.plots.style import line_style
from minvae_pyro.video.track import MouthTrack

BUDGETS: dict[str, tuple[dict[str, int], ...]] = {
    "fast": ({"iterations": 5}, {"iterations": 10}, {"iterations": 30}, {"iterations": 60}),
    "svi": ({"iterations": 15}, {"iterations": 60}),
    "vem": ({"iterations": 25},),
    "map": ({"iterations": 25}, {"iterations": 100}),
    "mcem": ({"iterations": 10, "steps": 40},),
    "langevin": ({"iterations": 10, "steps": 10},),
}
"""Settings of each engine that are measured; what is left out is as it comes. Less than the published counts for those
that would take minutes: that is what the short run costs them."""

STREAM = "stream"
"""The label of what is enhanced while it arrives."""

_GAINS = {"si_sdr": ("SI-SDR gain (dB)", 2), "pesq": ("PESQ-wb gain", 3), "estoi": ("ESTOI gain", 3)}
_BLOCK = 0.02  # seconds
_BEGINNING = 1.0  # seconds, of which a stream knows little


@dataclass(frozen=True)
class Configuration:
    """How a mixture is enhanced.

    Attributes:
        engine: a name of :data:`ENGINES`, or :data:`STREAM`.
        budget: arguments of the engine.
    """

    engine: str
    budget: dict[str, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Of the row and the point."""
        return ", ".join([self.engine, *(f"{count} {name}" for name, count in self.budget.items())])

    @property
    def key(self) -> str:
        """Letters that change with all settings."""
        what = STREAM if self.engine == STREAM else ENGINES[self.engine](**self.budget)
        return hashlib.sha256(repr(what).encode()).hexdigest()[:6]


def configurations() -> list[Configuration]:
    """What is measured, the stream last."""
    found = [Configuration(engine, budget) for engine, budgets in BUDGETS.items() for budget in budgets]
    return [*found, Configuration(STREAM)]


def measure(table: Path, weights: Path, output: Path, progress: Progress) -> pd.DataFrame:
    """Enhance and score all mixtures, one by one on one thread, in every way that was not measured before.

    Args:
        table: of mixtures with videos.
        weights: a checkpoint.
        output: keeps what was measured, and the mouths.
        progress: gets a bar.

    Returns:
        One row for each configuration and mixture: ``engine``, ``label``, ``id``, gains over the mixture, SI-SDR gains
        of the first second (``first``) and of the rest (``rest``), and seconds per second of sound (``processor``).
    """
    found = []
    for way in progress.track(configurations(), description="engines"):
        file = (
            output
            / "shipped"
            / f"{way.label.replace(', ', '-').replace(' ', '')}-{way.key}-{fingerprint(table, weights)}.csv"
        )
        if not file.exists():
            with one_thread():
                rows = list(_rows(way, table, load_checkpoint(weights), output / "mouths"))
            write_atomic(file, pd.DataFrame(rows).to_csv(index=False).encode())
        found.append(pd.read_csv(file, dtype={"id": str}))
    return pd.concat(found, ignore_index=True)


def _rows(way: Configuration, table: Path, checkpoint: Checkpoint, mouths: Path) -> Iterator[dict[str, Any]]:
    mixtures, sounds = built(table)
    for number, (mixture, (noisy, clean)) in enumerate(zip(mixtures, sounds, strict=True)):
        mouth = read_once(mixture.clip, mouths)
        if number == 0:  # the first call of everything is slow
            _enhance(way, checkpoint, noisy[: mixture.sample_rate // 2], mouth, mixture.sample_rate)
        used = time.process_time()
        speech = _enhance(way, checkpoint, noisy, mouth, mixture.sample_rate)
        used = time.process_time() - used
        before: Any = _input_scores(table)[number]
        after: Any = scores(clean, speech, mixture.sample_rate)
        begin = round(_BEGINNING * mixture.sample_rate)
        yield {
            "engine": way.engine,
            "label": way.label,
            "id": mixture.id,
            **{name: after[name] - before[name] for name in _GAINS},
            "first": float(si_sdr(clean[:begin], speech[:begin]) - si_sdr(clean[:begin], noisy[:begin])),
            "rest": float(si_sdr(clean[begin:], speech[begin:]) - si_sdr(clean[begin:], noisy[begin:])),
            "processor": used * mixture.sample_rate / len(noisy),
        }


@functools.cache
def _input_scores(table: Path) -> list[Any]:
    """Of the mixtures as they are."""
    mixtures, sounds = built(table)
    return [scores(clean, noisy, one.sample_rate) for one, (noisy, clean) in zip(mixtures, sounds, strict=True)]


def _enhance(way: Configuration, checkpoint: Checkpoint, noisy: Tensor, mouth: MouthTrack, rate: int) -> Tensor:
    if way.engine == STREAM:
        return torch.cat(list(enhance_stream(_blocks(noisy, mouth, rate), checkpoint=checkpoint, sample_rate=rate)))
    engine = {"class_path": way.engine, "init_args": way.budget}
    return enhance(noisy, sample_rate=rate, video=mouth, checkpoint=checkpoint, engine=engine).speech[0]


def _blocks(sound: Tensor, mouth: MouthTrack, rate: int) -> Iterator[tuple[Tensor, MouthTrack]]:
    """Sound and pictures as they would arrive."""
    size = round(_BLOCK * rate)
    for start, block in zip(range(0, len(sound), size), sound.split(size), strict=True):
        now = (mouth.times >= start / rate) & (mouth.times < (start + size) / rate)
        yield block, MouthTrack(mouth.crops[now], mouth.times[now], mouth.found[now])


def in_table(runs: pd.DataFrame) -> str:
    """Markdown: means over the mixtures."""
    rows = [
        [
            str(label),
            *(f"{run[name].mean():+.{digits}f}" for name, (_, digits) in _GAINS.items()),
            *(f"{run[name].mean():+.2f}" for name in ("first", "rest")),
            f"{run.processor.mean():.3f}",
        ]
        for label, run in runs.groupby("label", sort=False)
    ]
    titles = [*(title for title, _ in _GAINS.values()), "SI-SDR of the first second", "of the rest"]
    return markdown(["engine", *titles, "s per s, processor"], rows, names=1)


def quality_figure(runs: pd.DataFrame) -> Figure:
    """A panel for each gain against the seconds of work; budgets of one engine are joined by a line."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    means = runs.drop(columns="id").groupby(["engine", "label"], sort=False).mean().reset_index()
    for (name, (title, _)), axes in zip(_GAINS.items(), figure.subplots(1, len(_GAINS)), strict=True):
        for number, (engine, of_engine) in enumerate(means.groupby("engine", sort=False)):
            colour = line_style(number)["color"]
            ordered = of_engine.sort_values("processor")
            axes.plot(ordered.processor, ordered[name], "o-", color=colour, label=str(engine))
        axes.set(xscale="log", xlabel="seconds of work per second of sound", ylabel=title)
        axes.xaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), minor_locator=NullLocator(), major_formatter="{x:g}")
        axes.grid(alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure
