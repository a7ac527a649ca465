"""How time and memory grow with the length of a recording, each length in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
from torch import Tensor

from benchmarks.common import fingerprint, markdown
from benchmarks.quality import Demonstration, settings
from minvae_pyro.checkpoints.checkpoint import describe, load_checkpoint
from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.enhancement.enhance import enhance
from minvae_pyro.files import write_atomic
from minvae_pyro.inference import Settings

LENGTHS = (3.0, 12.0, 48.0, 180.0)
"""Seconds of sound."""

HOUR = 3600.0

_STATUS = Path("/proc/self/status")


def measure(demonstration: Demonstration, weights: Path, lengths: Sequence[float], output: Path) -> pd.DataFrame:
    """Enhance the utterance, repeated and cut to each length, on one thread.

    Args:
        demonstration: the utterance.
        weights: a checkpoint.
        lengths: seconds of sound.
        output: keeps what was measured.

    Returns:
        One row for each length: ``seconds``, ``engine``, ``elapsed``, ``processor`` (seconds in all), and in MB the
        peak of ``memory`` and where it stood ``before`` (NaN where the system does not tell).
    """
    rows = []
    usual = {"engine": Settings.of_checkpoint(describe(weights)["enhancement"], ()).engine}
    for seconds in lengths:
        key = fingerprint(demonstration.files[1], weights)
        file = output / "growth" / f"{seconds:g}-{usual['engine']}-{settings(usual)}-{key}.csv"
        if not file.exists():
            # a peak is one of a process: the length before must not count
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                row = pool.submit(_measure, demonstration.noisy, demonstration.sample_rate, weights, seconds).result()
            write_atomic(file, pd.DataFrame([row]).to_csv(index=False).encode())
        rows.append(pd.read_csv(file))
    return pd.concat(rows, ignore_index=True)


def _measure(sound: Tensor, rate: int, weights: Path, seconds: float) -> dict[str, object]:
    samples = round(seconds * rate)
    long = sound.repeat(-(-samples // len(sound)))[:samples]
    checkpoint = load_checkpoint(weights)
    with one_thread():
        enhance(sound[: rate // 2], sample_rate=rate, checkpoint=checkpoint)  # the first call of everything is slow
        before = peak()
        began, used = time.perf_counter(), time.process_time()
        engine = enhance(long, sample_rate=rate, checkpoint=checkpoint).engine
        elapsed, processor = time.perf_counter() - began, time.process_time() - used
    times = {"elapsed": elapsed, "processor": processor}
    return {"seconds": seconds, "engine": engine, **times, "memory": peak(), "before": before}


def peak() -> float:
    """The most memory that this process has held so far, MB; what its parent held does not count."""
    lines = _STATUS.read_text().splitlines() if _STATUS.exists() else []
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return float(found[0]) / 1024 if found else float("nan")


def in_table(runs: pd.DataFrame) -> str:
    """Markdown."""
    rows = [
        [
            f"{run.seconds:g}",
            f"{run.elapsed:.1f}",
            f"{run.elapsed / run.seconds:.3f}",
            f"{run.processor / run.seconds:.3f}",
            f"{run.memory:.0f}",
            f"{run.memory - run.before:.0f}",
        ]
        for _, run in runs.iterrows()
    ]
    header = ["sound (s)", "work (s)", "s per s, clock", "s per s, processor", "peak memory (MB)", "above a start (MB)"]
    return markdown(header, rows, names=0)
