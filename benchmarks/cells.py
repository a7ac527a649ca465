"""One run: a system over all mixtures, in batches, scored and kept in files."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from benchmarks.grid import INPUT, Cell, Weights, fingerprint
from benchmarks.videos import mouth_of
from minvae_pyro.checkpoints import Checkpoint, load_checkpoint
from minvae_pyro.evaluation.mixtures import Mixture, read_mixtures
from minvae_pyro.evaluation.scores import scores
from minvae_pyro.inference import infer
from minvae_pyro.separation import level
from minvae_pyro.utterances import Utterances, concatenate
from minvae_pyro.video.align import align_mouth
from minvae_pyro.video.track import MouthTrack
from minvae_pyro.writing import write_whole

BATCH = 12
"""Mixtures that are inferred together. Their number decides which random numbers each of them gets."""

_LATE = 1.0  # seconds, from when the frozen video stands still


@dataclass(frozen=True)
class Estimate:
    """What a system makes of a mixture.

    Attributes:
        speech: (samples,).
        audio_responsibility: (N,), or None for a system without it.
        frame_times: (N,) centres of the frames in seconds.
    """

    speech: Tensor
    audio_responsibility: Tensor | None
    frame_times: Tensor


@dataclass(frozen=True)
class Bench:
    """What every run shares.

    Attributes:
        table: the file of mixtures.
        output: folder of all results.
        weights: where the checkpoints lie.
    """

    table: Path
    output: Path
    weights: Weights

    @property
    def mouths(self) -> Path:
        """Folder of mouths that were read."""
        return self.output / "mouths"

    def file(self, cell: Cell) -> Path:
        """Where the scores of a run are kept; the name changes with mixtures and weights."""
        files = [self.table] if cell == INPUT else [self.table, self.weights.path(cell.system, cell.seed)]
        return self.output / "scores" / f"{cell}-{fingerprint(*files)}.csv"

    def responsibilities(self, cell: Cell) -> dict[str, Tensor]:
        """For each mixture of a finished run (2, N): times of the frames in seconds, audio responsibility."""
        file = self.file(cell).with_suffix(".safetensors")
        return load_file(file) if file.exists() else {}


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: two that have to wait for each other are slow where others want the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run_cell(bench: Bench, cell: Cell) -> Cell:
    """Enhance and score all mixtures, and keep the scores."""
    with one_thread():
        _run(bench, cell)
    return cell


def _run(bench: Bench, cell: Cell) -> None:
    mixtures, sounds = built(bench.table)
    noisy = [sound for sound, _ in sounds]
    if cell == INPUT:
        estimates = [Estimate(sound, None, torch.empty(0)) for sound in noisy]
    else:
        checkpoint = load_checkpoint(bench.weights.path(cell.system, cell.seed))
        mouths = [mouth_of(mixture.clip, cell.video, bench.mouths) for mixture in mixtures]
        estimates = []
        for first in range(0, len(noisy), BATCH):
            batch = slice(first, first + BATCH)
            estimates += estimate(checkpoint, noisy[batch], mouths[batch], cell.start or None)
    rows = [_row(mixture, clean, one) for mixture, (_, clean), one in zip(mixtures, sounds, estimates, strict=True)]
    file = bench.file(cell)
    trusts = {
        mixture.id: torch.stack([one.frame_times, one.audio_responsibility.double()])
        for mixture, one in zip(mixtures, estimates, strict=True)
        if one.audio_responsibility is not None
    }
    if trusts:
        write_whole(file.with_suffix(".safetensors"), save(trusts), overwrite=True)
    # the scores come last: their file says that the run is done
    write_whole(file, pd.DataFrame(rows).to_csv(index=False).encode(), overwrite=True)


@functools.cache
def built(table: Path) -> tuple[list[Mixture], list[tuple[Tensor, Tensor]]]:
    """The mixtures of a table, and the noisy and the clean sound of each."""
    mixtures = read_mixtures(table)
    return mixtures, [mixture.build() for mixture in mixtures]


def estimate(
    checkpoint: Checkpoint, noisy: Sequence[Tensor], mouths: Sequence[MouthTrack | None], start: str | None = None
) -> list[Estimate]:
    """Enhance a batch of sounds as :func:`minvae_pyro.enhance` does one.

    Args:
        checkpoint: the system.
        noisy: (samples,) each, at the rate of the checkpoint.
        mouths: the mouth of each, on the clock of its sound.
        start: where the posterior starts; the checkpoint's choice when omitted.
    """
    stft = checkpoint.stft
    singles, times = [], []
    for sound, mouth in zip(noisy, mouths, strict=True):
        spectrum = stft(sound / level(sound).float())
        times.append(stft.frame_times(len(spectrum)).double())
        crops, seen = (None, None) if mouth is None else align_mouth(mouth, times[-1])
        singles.append(Utterances.from_spectrum(spectrum, crops, seen))
    utterances = concatenate(singles)
    inferred = infer(checkpoint, utterances, start=start)
    trust = inferred.audio_responsibility
    estimates = []
    for row, sound in enumerate(noisy):
        frames = len(times[row])
        speech = stft.inverse(inferred.gain[row, :frames] * stft(sound), len(sound))
        estimates.append(Estimate(speech, None if trust is None else trust[row, :frames], times[row]))
    return estimates


def _row(mixture: Mixture, clean: Tensor, one: Estimate) -> dict[str, object]:
    trust = one.audio_responsibility
    return {
        "id": mixture.id,
        "talker": mixture.talker,
        "noise": mixture.noise.stem,
        "snr_db": mixture.snr_db,
        **scores(clean, one.speech, mixture.sample_rate),
        "responsibility": None if trust is None else float(trust.mean()),
        "responsibility_late": None if trust is None else float(trust[one.frame_times > _LATE].mean()),
    }
