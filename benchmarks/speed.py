"""Seconds of work per second of sound: inference alone, the video front end alone, and file to file."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import torch

from benchmarks.cells import BATCH, Bench, built, estimate
from benchmarks.grid import SYSTEMS, fingerprint
from benchmarks.videos import mouth_of
from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.checkpoints import load_checkpoint
from minvae_pyro.enhancement import enhance
from minvae_pyro.evaluation.mixtures import Mixture
from minvae_pyro.video.mouth import read_mouth
from minvae_pyro.writing import write_whole

_CLIPS = 4
_TOGETHER = f"inference, {BATCH} mixtures together"
WORK = (_TOGETHER, "inference, one by one", "video front end", "file to file")
"""What is timed."""


def measure(bench: Bench, name: str, seed: int) -> pd.DataFrame:
    """Time a system on a few mixtures spread over the table, or fetch the times that were measured before.

    Args:
        bench: mixtures and weights.
        name: of the system.
        seed: of its training.

    Returns:
        One row for each kind of work and mixture: ``work``, ``id`` (empty for the batch), ``factor`` (seconds of
        work per second of sound), ``threads`` of torch and ``busy``, the load of the machine in the minute
        before.
    """
    weights = bench.weights.path(name, seed)
    file = bench.output / "speed" / f"{name}-{seed}-{fingerprint(bench.table, weights)}.csv"
    if not file.exists():
        busy = os.getloadavg()[0]
        rows = [{"work": w, "id": i, "factor": f} for w, i, f in _timed(bench, name, weights)]
        table = pd.DataFrame(rows).assign(threads=torch.get_num_threads(), busy=busy)
        write_whole(file, table.to_csv(index=False).encode())
    return pd.read_csv(file, dtype={"id": str})


def _timed(bench: Bench, name: str, weights: Path) -> Iterator[tuple[str, str, float]]:
    mixtures, sounds = built(bench.table)
    system, checkpoint = SYSTEMS[name], load_checkpoint(weights)
    video = "right" if system.with_mouth else "absent"
    few = range(0, len(mixtures), -(-len(mixtures) // _CLIPS))
    mouths = [mouth_of(mixture.clip, video, bench.mouths) for mixture in mixtures]
    noisy = [sound for sound, _ in sounds]

    def alone(i: int) -> None:
        enhance(
            noisy[i],
            sample_rate=mixtures[i].sample_rate,
            video=mouths[i],
            checkpoint=checkpoint,
            start=system.start,
        )

    alone(0)  # the first call of everything is slow
    batch = slice(0, BATCH)
    took = _seconds(lambda: estimate(checkpoint, noisy[batch], mouths[batch], system.start))
    yield _TOGETHER, "", took / sum(_length(m, s) for m, s in zip(mixtures[batch], noisy[batch], strict=True))
    with tempfile.TemporaryDirectory() as folder:
        for i in few:
            mixture, length = mixtures[i], _length(mixtures[i], noisy[i])
            yield "inference, one by one", mixture.id, _seconds(lambda i=i: alone(i)) / length  # type: ignore[misc]
            if not system.with_mouth:
                continue
            yield "video front end", mixture.id, _seconds(lambda clip=mixture.clip: read_mouth(clip)) / length  # type: ignore[misc]
            recording = Path(folder) / f"{i}.wav"
            write_sound(recording, Sound(noisy[i][None], mixture.sample_rate))

            def through(recording: Path = recording, clip: Path = mixture.clip) -> None:
                result = enhance(recording, video=clip, checkpoint=weights, start=system.start)
                write_sound(recording.with_suffix(".flac"), Sound(result.speech, result.sample_rate))

            yield "file to file", mixture.id, _seconds(through) / length


def _length(mixture: Mixture, sound: torch.Tensor) -> float:
    return len(sound) / mixture.sample_rate


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
