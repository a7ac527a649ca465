"""Measure every speech prior of the package on a table of mixtures, side by side: the table of the README.

python -m benchmarks.priors --mixtures ../shared/data/mixtures.csv --output results
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.cells import BATCH, Bench, built, estimate, one_thread
from benchmarks.grid import INPUT, Cell, Weights, fingerprint
from benchmarks.running import add_common, answer, progress_bar, run_all
from benchmarks.tables import METRICS, collect, markdown
from benchmarks.videos import mouth_of
from minvae_pyro.building import together
from minvae_pyro.checkpoints import load_checkpoint
from minvae_pyro.destinations import make_folder
from minvae_pyro.errors import UserError
from minvae_pyro.writing import write_whole


@dataclass(frozen=True)
class Family:
    """A prior as the table shows it.

    Attributes:
        label: its name in the literature.
        paper: arXiv number.
        differs: from the others, in one line.
        with_mouth: it looks at the video.
    """

    label: str
    paper: str
    differs: str
    with_mouth: bool = True

    @property
    def videos(self) -> tuple[str, ...]:
        """What it is shown: what it is meant to see, and what tells whether it looks."""
        return ("right", "other") if self.with_mouth else ("absent",)


PRIORS = {
    "a-vae": Family("A-VAE", "1902.01605", "sound alone: N(0, I) and a decoder", with_mouth=False),
    "v-vae": Family("V-VAE", "1908.02590", "the encoder sees the mouth alone"),
    "av-vae": Family("AV-VAE", "1908.02590", "encoder on sound and mouth, decoder sees the mouth"),
    "av-cvae": Family("AV-CVAE", "1908.02590", "p(z) depends on the mouth, and so does the decoder"),
    "vae-mm": Family("VAE-MM", "1911.03930", "each frame chooses A-VAE or AV-CVAE"),
    "sw-vae": Family("SwVAE", "2102.04144", "the same, the choice a Markov chain"),
    "min-vae-published": Family("MIN-VAE v1", "1912.10647", "two encoders, one decoder, constant components"),
    "min-vae-v2": Family("MIN-VAE v2", "1912.10647", "the decoder sees the mouth too"),
    "min-vae": Family("MIN-VAE, shipped", "1912.10647", "component p(z) from the mouth, learnt gate for alpha"),
    "a-dkf": Family("A-DKF", "2211.00988", "z follows from the frame before", with_mouth=False),
    "av-dkf": Family("AV-DKF", "2211.00988", "z follows from the frame before and the mouth"),
}
"""Priors by the name of their shipped checkpoint."""


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.priors", description=__doc__.splitlines()[0])
    add_common(parser, PRIORS, "priors.md and the scores")
    parser.add_argument("--only", nargs="+", choices=list(PRIORS), default=list(PRIORS), help="priors (default: all)")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when all is measured, 2 with one line on stderr when something that was given cannot be used.
    """
    given = parser().parse_args(arguments)

    def work() -> str:
        bench = Bench(given.mixtures, given.output, Weights(given.weights, tuple(PRIORS)))
        return benchmark(bench, given.only, given.workers)

    return answer(work)


def benchmark(bench: Bench, names: Sequence[str], workers: int) -> str:
    """Measure what was not measured before, write the tables and return them.

    Args:
        bench: mixtures, checkpoints, and a folder that keeps finished runs for the next call.
        names: some of :data:`PRIORS`.
        workers: processes.

    Raises:
        UserError: mixtures, checkpoints or output cannot be used.
    """
    missing = [str(bench.weights.path(name, 0)) for name in names if not bench.weights.path(name, 0).is_file()]
    if missing:
        raise UserError(f"there is no checkpoint {', '.join(missing)}: say --weights or --only.")
    for folder in ("mouths", "scores", "speed"):
        make_folder(bench.output / folder)
    cells = [Cell(name, video=video) for name in names for video in PRIORS[name].videos]
    with progress_bar() as progress:
        run_all(bench, [INPUT, *cells], workers, progress)
        # after the others, so that nothing of ours runs beside it
        seconds = {name: _seconds(bench, name) for name in progress.track(names, description="speed")}
    text = _report(bench, collect(bench, cells), seconds)
    write_whole(bench.output / "priors.md", text.encode(), overwrite=True)
    return text


def _seconds(bench: Bench, name: str) -> float:
    """Seconds of inference per second of sound in a batch on one thread, or what was measured before."""
    weights = bench.weights.path(name, 0)
    file = bench.output / "speed" / f"{name}-{fingerprint(bench.table, weights)}-batch.csv"
    if not file.exists():
        mixtures, sounds = built(bench.table)
        mixtures, noisy = mixtures[:BATCH], [sound for sound, _ in sounds[:BATCH]]
        mouths = [mouth_of(mixture.clip, PRIORS[name].videos[0], bench.mouths) for mixture in mixtures]
        checkpoint, load = load_checkpoint(weights), os.getloadavg()[0]
        with one_thread():
            estimate(checkpoint, noisy[:1], mouths[:1])  # the first call of everything is slow
            began = time.perf_counter()
            estimate(checkpoint, noisy, mouths)
            elapsed = time.perf_counter() - began
        length = sum(map(len, noisy)) / mixtures[0].sample_rate
        row = {"elapsed": elapsed / length, "load": load}
        write_whole(file, pd.DataFrame([row]).to_csv(index=False).encode())
    return float(pd.read_csv(file)["elapsed"].iloc[0])


def _report(bench: Bench, runs: pd.DataFrame, seconds: dict[str, float]) -> str:
    snrs = sorted(runs.snr_db.unique())
    text = [
        f"{len(built(bench.table)[0])} mixtures of {bench.table.name}; gains over the input: SI-SDR (dB) / PESQ-wb / "
        f"ESTOI. Seconds of inference per second of sound in a batch of {BATCH} on one thread. The last gains are with "
        "the video of another clip of the talker."
    ]
    header = ["prior", "paper (arXiv)", "what differs", *(f"{snr:+g} dB" if snr else "0 dB" for snr in snrs)]
    header += ["all", "weights", "s per s", "all, other video"]
    for talker in dict.fromkeys(runs.talker):
        rows = []
        for name, work in seconds.items():
            family = PRIORS[name]
            of_system = runs[(runs.system == name) & (runs.talker == talker)]
            meant = of_system[of_system.video == family.videos[0]]
            parts = [_gains(meant[meant.snr_db == snr]) for snr in snrs]
            size = f"{_parameters(bench.weights.path(name, 0)) / 1000:.0f} k"
            other = _gains(of_system[of_system.video == "other"]) if family.with_mouth else ""
            rows.append([family.label, family.paper, family.differs, *parts, _gains(meant), size, f"{work:.2f}", other])
        text += ["", f"Talker {talker}:", "", markdown(header, rows, names=3)]
    return "\n".join(text) + "\n"


def _gains(runs: pd.DataFrame) -> str:
    return " / ".join(f"{runs[f'{metric}_gain'].mean():+.{digits}f}" for metric, (_, digits) in METRICS.items())


def _parameters(weights: Path) -> int:
    checkpoint = load_checkpoint(weights)
    return sum(parameter.numel() for parameter in together(checkpoint.prior, checkpoint.guide).parameters())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
