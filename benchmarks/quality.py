"""Quality against time: every engine on one utterance, with the weights of published systems."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.common import fingerprint, markdown
from minvae_pyro.audio.files import read_sound
from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.checkpoints.importing import import_weights
from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.enhancement.enhance import enhance
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.scores import scores
from minvae_pyro.files import write_atomic
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.plots.style import BLUE, VERMILLION

SYSTEMS = ("A-VAE", "A-DKF")
"""Published weights that are imported, by the names of their folders."""

PUBLISHED = pd.DataFrame(
    [
        ("A-VAE", "published, PEEM, 100 x 20", 6.86, 1.569, 0.641, 48.0),
        ("A-VAE", "published, LDEM, 5 chains, 100 x 20", 8.56, 1.764, 0.674, 17.6),
        ("A-DKF", "published, LDEM", 7.89, 1.435, 0.724, 21.0),
    ],
    columns=["system", "engine", "si_sdr", "pesq", "stoi", "elapsed"],
)
"""The published systems of arXiv 2211.00988 and 2211.02728 on the demo utterance, measured once on two cores of this
class of machine (design document, section 5), which was loaded."""

RANK = 10
"""Rank of the noise in the published systems; ours is smaller."""

OWN = "as imported"
"""Label of the settings that ``minvae import`` gives to weights."""

_SCORES = {"si_sdr": ("SI-SDR (dB)", 2), "pesq": ("PESQ-wb", 3), "stoi": ("STOI", 3)}
_SECONDS = {"elapsed": "s per s, clock", "processor": "s per s, processor"}
_WARM_UP = 0.5  # seconds of sound
_COLOURS = {"A-VAE": BLUE, "A-DKF": VERMILLION}


@dataclass(frozen=True)
class Demonstration:
    """One utterance, with noise and without.

    Attributes:
        clean: (samples,).
        noisy: (samples,).
        sample_rate: Hz.
        files: both, the clean one first.
    """

    clean: Tensor
    noisy: Tensor
    sample_rate: int
    files: tuple[Path, Path]


def read_demonstration(folder: Path) -> Demonstration:
    """Read ``clean.wav`` and ``noisy.wav``.

    Raises:
        UserError: they are not there, or do not fit together.
    """
    files = folder / "clean.wav", folder / "noisy.wav"
    clean, noisy = (read_sound(file) for file in files)
    if clean.waveform.shape != noisy.waveform.shape or clean.sample_rate != noisy.sample_rate:
        raise UserError(f"clean.wav and noisy.wav in {folder} differ in length, channels or rate: give a pair.")
    return Demonstration(clean.waveform[0], noisy.waveform[0], clean.sample_rate, files)


def configurations() -> dict[str, dict[str, Any]]:
    """What is measured: weights as they come, every engine as it comes, ``svi`` with the noise of the published."""
    ranked = {"class_path": "NMFNoise", "init_args": {"rank": RANK}}
    engines = {name: {"engine": name} for name in ENGINES}
    return {OWN: {}, **engines, f"svi, rank {RANK}": {"engine": "svi", "noise": ranked}}


def measure(demonstration: Demonstration, weights: Path, output: Path) -> pd.DataFrame:
    """Enhance and score the utterance with every system and engine that was not measured before.

    Args:
        demonstration: the utterance.
        weights: holds a folder for each of :data:`SYSTEMS`.
        output: keeps what was measured.

    Returns:
        One row for each system and engine: scores, and seconds per second of sound on one thread.
    """
    rows = []
    for system in SYSTEMS:
        checkpoint: Checkpoint | None = None
        for label, options in configurations().items():
            tensors = sorted((weights / system).glob("*.pt"))
            key = fingerprint(*demonstration.files, *tensors)
            file = output / "quality" / f"{system}-{options.get('engine', 'own')}-{settings(options)}-{key}.csv"
            if not file.exists():
                if checkpoint is None:
                    imported = import_weights(weights / system, output / f"{system}.safetensors", overwrite=True)
                    checkpoint = load_checkpoint(imported.path)
                row = {"system": system, "engine": label, **_measure(demonstration, checkpoint, options)}
                write_atomic(file, pd.DataFrame([row]).to_csv(index=False).encode())
            rows.append(pd.read_csv(file))
    return pd.concat(rows, ignore_index=True)


def settings(options: Mapping[str, Any]) -> str:
    """A few letters that change with the options and with the defaults of their engine."""
    engine = ENGINES[options["engine"]]() if "engine" in options else OWN
    return hashlib.sha256(repr((options, engine)).encode()).hexdigest()[:6]


def _measure(demonstration: Demonstration, checkpoint: Checkpoint, options: Mapping[str, Any]) -> dict[str, Any]:
    rate = demonstration.sample_rate
    load = os.getloadavg()[0]
    with one_thread():
        # the first call of everything is slow
        enhance(demonstration.noisy[: round(_WARM_UP * rate)], sample_rate=rate, checkpoint=checkpoint, **options)
        began, used = time.perf_counter(), time.process_time()
        result = enhance(demonstration.noisy, sample_rate=rate, checkpoint=checkpoint, **options)
        elapsed, processor = time.perf_counter() - began, time.process_time() - used
    found = scores(demonstration.clean, result.speech[0], rate)
    return {
        **{name: found[name] for name in _SCORES},
        "elapsed": elapsed / result.seconds,
        "processor": processor / result.seconds,
        "load": load,
    }


def in_table(runs: pd.DataFrame, demonstration: Demonstration) -> str:
    """Markdown: the noisy input, the published systems, and ours beside them."""
    noisy: Any = scores(demonstration.clean, demonstration.noisy, demonstration.sample_rate)
    both = pd.concat([PUBLISHED, runs], ignore_index=True)
    rows = [["noisy input", "", *(f"{noisy[name]:.{digits}f}" for name, (_, digits) in _SCORES.items()), "", ""]]
    for system in SYSTEMS:
        for _, run in both[both.system == system].iterrows():
            values = [f"{run[name]:.{digits}f}" for name, (_, digits) in _SCORES.items()]
            seconds = ["-" if pd.isna(run[name]) else f"{run[name]:.2f}" for name in _SECONDS]
            rows.append([system, run.engine, *values, *seconds])
    return markdown(["weights", "engine", *(title for title, _ in _SCORES.values()), *_SECONDS.values()], rows)


def quality_figure(runs: pd.DataFrame) -> Figure:
    """A panel for each score against the seconds of work, published systems as hollow squares.

    Ours are seconds of a processor, which depend less on what else runs; of the published systems the clock is known.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    # what came out twice the same, and engines with another rank of the noise, would only cover each other's names
    runs = runs.drop_duplicates(["system", *_SCORES], keep="last")
    runs = runs[~runs.engine.str.contains("rank")]
    for (name, (title, _)), axes in zip(_SCORES.items(), figure.subplots(1, len(_SCORES)), strict=True):
        for table, marker, filled in ((runs, "o", True), (PUBLISHED, "s", False)):
            for system, of_system in table.groupby("system", sort=False):
                colour = _COLOURS[str(system)]
                label = f"{system}, {'here' if filled else 'published'}"
                face = colour if filled else "none"
                style: dict[str, Any] = {"marker": marker, "markeredgecolor": colour, "markerfacecolor": face}
                work = of_system["processor" if filled else "elapsed"]
                axes.plot(work, of_system[name], linestyle="none", label=label, **style)
                # above the points of one system, below those of the other
                offset = (4, 3) if system == SYSTEMS[0] else (4, -9)
                for _, run in of_system.iterrows() if filled else ():
                    place: Any = (run.processor, run[name])
                    axes.annotate(run.engine, place, offset, textcoords="offset points", fontsize="x-small")
        axes.set(xscale="log", xlabel="seconds of work per second of sound", ylabel=title)
        axes.margins(x=0.2)
        axes.grid(alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure
