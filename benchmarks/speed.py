"""Seconds of work per second of sound: inference alone, the video front end alone, and file to file."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks.cells import BATCH, Bench, built, estimate, one_thread
from benchmarks.grid import SYSTEMS, fingerprint
from benchmarks.videos import mouth_of
from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.checkpoints import load_checkpoint
from minvae_pyro.enhancement import enhance
from minvae_pyro.video.mouth import read_mouth
from minvae_pyro.writing import write_whole

_CLIPS = 4
TOGETHER, ALONE = f"inference, {BATCH} mixtures together", "inference, one by one"
FRONT_END, THROUGH = "video front end", "file to file"
WORK = (TOGETHER, ALONE, FRONT_END, THROUGH)
"""What is timed."""

Times = tuple[float, float]
"""Seconds on the clock, and of processors, per second of sound."""


def measure(bench: Bench, name: str, seed: int) -> pd.DataFrame:
    """Time a system on a few mixtures spread over the table, or fetch the times that were measured before.

    Args:
        bench: mixtures and weights.
        name: of the system.
        seed: of its training.

    Returns:
        One row for each kind of work and mixture: ``work``, ``id`` (empty for the batch), ``elapsed`` and
        ``processor`` (seconds on the clock and of processors, per second of sound) and ``load`` of the machine in
        the minute before.
    """
    weights = bench.weights.path(name, seed)
    file = bench.output / "speed" / f"{name}-{seed}-{fingerprint(bench.table, weights)}.csv"
    if not file.exists():
        load = os.getloadavg()[0]
        with one_thread():
            rows = [
                {"work": work, "id": id_, "elapsed": elapsed, "processor": processor}
                for work, id_, (elapsed, processor) in _timed(bench, name, weights)
            ]
        write_whole(file, pd.DataFrame(rows).assign(load=load).to_csv(index=False).encode())
    return pd.read_csv(file, dtype={"id": str})


def _timed(bench: Bench, name: str, weights: Path) -> Iterator[tuple[str, str, Times]]:
    mixtures, sounds = built(bench.table)
    system, checkpoint = SYSTEMS[name], load_checkpoint(weights)
    noisy = [sound for sound, _ in sounds]
    lengths = [len(sound) / mixture.sample_rate for mixture, sound in zip(mixtures, noisy, strict=True)]
    video = "right" if system.with_mouth else "absent"
    mouths = [mouth_of(mixture.clip, video, bench.mouths) for mixture in mixtures]

    def alone(i: int) -> None:
        rate = mixtures[i].sample_rate
        enhance(noisy[i], sample_rate=rate, video=mouths[i], checkpoint=checkpoint, start=system.start)

    def through(i: int, folder: str) -> None:
        recording = Path(folder) / f"{i}.wav"
        result = enhance(recording, video=mixtures[i].clip, checkpoint=weights, start=system.start)
        write_sound(recording.with_suffix(".flac"), Sound(result.speech, result.sample_rate))

    alone(0)  # the first call of everything is slow
    batch = slice(0, BATCH)
    yield (
        TOGETHER,
        "",
        _time(lambda: estimate(checkpoint, noisy[batch], mouths[batch], system.start), sum(lengths[batch])),
    )
    with tempfile.TemporaryDirectory() as folder:
        for i in range(0, len(mixtures), -(-len(mixtures) // _CLIPS)):
            one = mixtures[i]
            yield ALONE, one.id, _time(partial(alone, i), lengths[i])
            if system.with_mouth:
                write_sound(Path(folder) / f"{i}.wav", Sound(noisy[i][None], one.sample_rate))
                yield FRONT_END, one.id, _time(partial(read_mouth, one.clip), lengths[i])
                yield THROUGH, one.id, _time(partial(through, i, folder), lengths[i])


def _time(work: Callable[[], object], length: float) -> Times:
    began, used = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - began) / length, (time.process_time() - used) / length
