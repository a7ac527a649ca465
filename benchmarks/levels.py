"""What a checkpoint does to recordings as they come: from much noise to none, talkers it knows and others."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from benchmarks.common import answer, markdown, progress_bar
from minvae_pyro.audio.files import read_sound
from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.enhancement.batch import enhance_batch
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.scores import scores
from minvae_pyro.video.mouth import read_mouth
from minvae_pyro.video.track import MouthTrack

LEVELS = (-5.0, 0.0, 5.0, 10.0, 20.0, 30.0, math.inf)
"""Signal-to-noise ratios in decibels; the last one is the clean recording."""

GROUPS = {
    "GRID s1": "grid/s1/validation/s*.mkv",
    "GRID s4": "grid/s4/s[rw]*.mkv",
    "new GRID talkers": "grid/s26/*.mpg",
    "LibriSpeech": "speech/librispeech-test-clean/[24]*.flac",
    "wild": "scenes/*/clean.flac",
}
"""Clips by kind: of talkers that were trained on, other sentences; of others; without a video; and not of a corpus."""

_NOISES = ("city", "coffee-shop", "train")
_CLIPS = 4  # of each kind
_SECONDS = 8
_SCORES = ("si_sdr", "pesq", "estoi")


@dataclass(frozen=True)
class Clip:
    """A clean recording and the mouth that belongs to it."""

    kind: str
    sound: Tensor
    mouth: MouthTrack | None


def find_clips(data: Path) -> list[Clip]:
    """Clips of every kind, evenly spread over those that there are."""
    found = []
    for kind, pattern in GROUPS.items():
        files = sorted(data.glob(pattern))
        if len(files) < _CLIPS:
            raise UserError(f"{data} has fewer than {_CLIPS} of {pattern}: give the folder of the recordings.")
        for file in files[:: len(files) // _CLIPS][:_CLIPS]:
            sound = read_sound(file).resample(16000).mono()[: _SECONDS * 16000]
            video = file.with_name("mouth.mp4") if kind == "wild" else file
            found.append(Clip(kind, sound, None if video.suffix == ".flac" else read_mouth(video)))
    return found


def measure(checkpoint: Checkpoint, clips: Sequence[Clip], noises: Sequence[Tensor], level: float) -> pd.DataFrame:
    """Scores before and after of every clip at one level; columns ``kind``, ``before_*`` and ``after_*``."""
    mixtures = [
        (clip.sound, clip.sound)
        if math.isinf(level)
        else mix_at_snr(clip.sound, noises[number % len(noises)], level, 7919 * number)
        for number, clip in enumerate(clips)
    ]
    estimates = enhance_batch(checkpoint, [noisy for noisy, _ in mixtures], [clip.mouth for clip in clips])
    rows = []
    for clip, (noisy, clean), estimate in zip(clips, mixtures, estimates, strict=True):
        before, after = (scores(clean, sound, 16000) for sound in (noisy, estimate.speech))
        both = {f"{when}_{name}": one[name] for when, one in (("before", before), ("after", after)) for name in _SCORES}
        rows.append({"kind": clip.kind, **both})
    return pd.DataFrame(rows)


def table(names: Sequence[str], data: Path) -> str:
    """Gains in SI-SDR, PESQ and ESTOI by kind and level; of clean recordings what comes out."""
    checkpoints = {name: load_checkpoint(name) for name in names}
    clips = find_clips(data)
    noises = [read_sound(data / "noise" / f"{name}.flac").resample(16000).mono() for name in _NOISES]
    rows = []
    with one_thread(), progress_bar() as bar:
        task = bar.add_task("measuring", total=len(checkpoints) * len(LEVELS))
        for name, checkpoint in checkpoints.items():
            cells: dict[str, list[str]] = {kind: [] for kind in GROUPS}
            for level in LEVELS:
                means = measure(checkpoint, clips, noises, level).groupby("kind").mean()
                for kind in GROUPS:
                    cells[kind].append(_cell(means.loc[kind], clean=math.isinf(level)))
                bar.advance(task)
            rows += [[name, kind, *texts] for kind, texts in cells.items()]
    header = ["checkpoint", "clips", *(f"{level:+g} dB" for level in LEVELS[:-1]), "clean: what comes out"]
    return markdown(header, rows)


def _cell(means: Any, clean: bool) -> str:
    after = [means[f"after_{name}"] for name in _SCORES]
    if clean:
        return f"{after[0]:.1f} dB / {after[1]:.2f} / {after[2]:.2f}"
    gain = [value - means[f"before_{name}"] for value, name in zip(after, _SCORES, strict=True)]
    return f"{gain[0]:+.1f} / {gain[1]:+.2f} / {gain[2]:+.2f}"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.levels", description=__doc__)
    parser.add_argument("checkpoints", nargs="+", help="shipped names or files")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the recordings")
    given = parser.parse_args()
    return answer(lambda: table(given.checkpoints, given.data))


if __name__ == "__main__":
    raise SystemExit(main())
