"""Measure seconds of work per second of sound: inference alone, the video front end alone, and file to file.

python -m benchmarks.speed --mixtures ../shared/data/mixtures.csv --output results
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks.common import answer, built, fingerprint, markdown
from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.checkpoints.checkpoint import checkpoint_file, load_checkpoint
from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.enhancement.batch import enhance_batch
from minvae_pyro.enhancement.enhance import enhance
from minvae_pyro.evaluation.experiment import BATCH
from minvae_pyro.evaluation.jobs import mouth_of, mouths_folder
from minvae_pyro.evaluation.mixtures import read_mixtures
from minvae_pyro.evaluation.systems import System
from minvae_pyro.files import make_folder, write_atomic
from minvae_pyro.video.mouth import read_mouth

SYSTEMS = ("a-vae", "min-vae-published", "min-vae")
"""What is timed unless something else is named."""

_CLIPS = 4
TOGETHER, ALONE = f"inference, {BATCH} mixtures together", "inference, one by one"
FRONT_END, THROUGH = "video front end", "file to file"
WORK = (TOGETHER, ALONE, FRONT_END, THROUGH)
"""What is timed of each."""

Times = tuple[float, float]
"""Seconds on the clock, and of processors, per second of sound."""


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--mixtures", type=Path, required=True, metavar="CSV", help="table of mixtures")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="speed.md and the times")
    parser.add_argument("--systems", nargs="+", default=SYSTEMS, metavar="CHECKPOINT", help="shipped names or files")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when all is measured, 2 with one line on stderr when something that was given cannot be used.
    """
    given = parser().parse_args(arguments)
    return answer(lambda: benchmark(given.mixtures, given.output, given.systems))


def benchmark(mixtures: Path, output: Path, systems: Sequence[str]) -> str:
    """Time what was not timed before, write the table and return it.

    Args:
        mixtures: the table of mixtures.
        output: folder of results, which keeps finished systems for the next call.
        systems: checkpoints.

    Raises:
        UserError: mixtures, checkpoints or output cannot be used.
    """
    checked = [System(Path(name).stem, name).check() for name in systems]
    read_mixtures(mixtures)
    make_folder(output / "speed")
    make_folder(mouths_folder(output))
    times = {system.name: measure(mixtures, output, system) for system in checked}
    load = max(table["load"].iloc[0] for table in times.values())
    told = f"Torch on one thread. The load of the machine in the minute before was up to {load:.1f}."
    text = f"{told}\n\n{of_speed(times)}\n"
    write_atomic(output / "speed.md", text.encode(), overwrite=True)
    return text


def measure(table: Path, output: Path, system: System) -> pd.DataFrame:
    """Time a system on a few mixtures spread over the table, or fetch the times that were measured before.

    Args:
        table: of mixtures.
        output: folder of results.
        system: which.

    Returns:
        One row for each kind of work and mixture: ``work``, ``id`` (empty for the batch), ``elapsed`` and
        ``processor`` (seconds on the clock and of processors, per second of sound) and ``load`` of the machine in
        the minute before.
    """
    weights = checkpoint_file(system.checkpoint)
    file = output / "speed" / f"{system.name}-{fingerprint(table, weights)}.csv"
    if not file.exists():
        load = os.getloadavg()[0]
        with one_thread():
            rows = [
                {"work": work, "id": id_, "elapsed": elapsed, "processor": processor}
                for work, id_, (elapsed, processor) in _timed(table, output, system)
            ]
        write_atomic(file, pd.DataFrame(rows).assign(load=load).to_csv(index=False).encode())
    return pd.read_csv(file, dtype={"id": str})


def _timed(table: Path, output: Path, system: System) -> Iterator[tuple[str, str, Times]]:
    mixtures, sounds = built(table)
    noisy = [sound for sound, _ in sounds]
    lengths = [len(sound) / mixture.sample_rate for mixture, sound in zip(mixtures, noisy, strict=True)]
    mouths = [mouth_of(system, mixture, output, []) for mixture in mixtures]
    checkpoint = load_checkpoint(system.checkpoint)

    def alone(i: int) -> None:
        enhance(noisy[i], sample_rate=mixtures[i].sample_rate, video=mouths[i], checkpoint=checkpoint)

    def through(i: int, folder: str) -> None:
        recording = Path(folder) / f"{i}.wav"
        result = enhance(recording, video=mixtures[i].clip, checkpoint=system.checkpoint)
        write_sound(recording.with_suffix(".flac"), Sound(result.speech, result.sample_rate))

    alone(0)  # the first call of everything is slow
    batch = slice(0, BATCH)
    yield TOGETHER, "", _time(lambda: enhance_batch(checkpoint, noisy[batch], mouths[batch]), sum(lengths[batch]))
    with tempfile.TemporaryDirectory() as folder:
        for i in range(0, len(mixtures), -(-len(mixtures) // _CLIPS)):
            one = mixtures[i]
            yield ALONE, one.id, _time(partial(alone, i), lengths[i])
            if mouths[i] is not None:
                write_sound(Path(folder) / f"{i}.wav", Sound(noisy[i][None], one.sample_rate))
                yield FRONT_END, one.id, _time(partial(read_mouth, one.clip), lengths[i])
                yield THROUGH, one.id, _time(partial(through, i, folder), lengths[i])


def _time(work: Callable[[], object], length: float) -> Times:
    began, used = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - began) / length, (time.process_time() - used) / length


def of_speed(times: Mapping[str, pd.DataFrame]) -> str:
    """Seconds of work per second of sound, on the clock and of processors: mean over clips, least and greatest.

    Args:
        times: what :func:`measure` returned for each system.
    """
    rows = []
    for work in WORK:
        for title, column in ((work, "elapsed"), ("processor time of it", "processor")):
            rows.append([title, *(_over_clips(table[table.work == work][column]) for table in times.values())])
    return markdown(["seconds of work per second of sound", *times], rows, names=1)


def _over_clips(factors: pd.Series) -> str:
    if factors.empty:
        return "-"
    several = f" ({factors.min():.2f}..{factors.max():.2f})" if len(factors) > 1 else ""
    return f"{factors.mean():.2f}{several}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
