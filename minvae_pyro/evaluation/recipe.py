"""Mixtures by recipe: clean clips and noises from folders, mixed at given ratios; and the table that keeps them."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from minvae_pyro.audio.files import read_sound
from minvae_pyro.corpora.sources import find_clips
from minvae_pyro.corpora.spreadsheets import csv_bytes
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.mixtures import TRACKS, Mixture
from minvae_pyro.files import write_atomic

_SAMPLE_RATE = 16000  # Hz, of all mixtures
_MARGIN = 10.0  # seconds before the end of a long noise in which none begins: most clips end before it is repeated

T = TypeVar("T")


def mix_recipe(
    clean: str | os.PathLike[str],
    noise: str | os.PathLike[str],
    snrs: Sequence[float],
    count: int,
    *,
    noise_types: Sequence[str] = (),
    seed: int = 0,
    audio_track: int | None = None,
    video_track: int | None = None,
) -> list[Mixture]:
    """Draw mixtures: clips, noise types and ratios each as often as the others, in combinations as even as can be.

    Args:
        clean: folder of clean clips, sound or video; a sound and a video of one name belong together.
        noise: folder of noises. A file is a type of its own, named after it; files in a folder below it are of one
            type, named after that folder.
        snrs: signal-to-noise ratios in decibels.
        count: how many mixtures.
        noise_types: those that are used; all when empty.
        seed: decides which clip meets which noise, where, and at which ratio.
        audio_track: of the clips, counted from 1, where they have several; by default the default track.
        video_track: of the files that show the mouth.

    Raises:
        UserError: a folder is missing or holds nothing, there is no such type, no ratio, no count, or a noise cannot be
            read.
    """
    if count < 1 or not snrs or not all(map(math.isfinite, snrs)):
        raise UserError(f"a recipe needs a count above 0 and ratios in decibels, not count {count} and {list(snrs)}.")
    clips = find_clips("folder", Path(clean))
    files = _by_type(Path(noise))
    if unknown := [name for name in noise_types if name not in files]:
        raise UserError(f"{noise} has no noise of the type {', '.join(unknown)}. It has {', '.join(files)}.")
    random = np.random.default_rng(seed)
    wanted = [(kind, snr) for kind in dict.fromkeys(noise_types or files) for snr in dict.fromkeys(snrs)]
    mixtures = []
    pairs = zip(_rounds(clips, random), _rounds(wanted, random), strict=False)
    for number, (clip, (kind, snr)) in zip(range(count), pairs, strict=False):
        chosen = files[kind][int(random.integers(len(files[kind])))]
        video = clip.video or clip.lips
        mixtures.append(
            Mixture(
                f"{number:0{len(str(count - 1))}}_{kind}_{snr:+g}",
                clip.sound,
                chosen,
                int(random.integers(_room(chosen))),
                float(snr),
                _SAMPLE_RATE,
                None if video == clip.sound else video,
                "" if kind == chosen.stem else kind,
                audio_track=audio_track,
                video_track=video_track,
            )
        )
    return mixtures


def write_mixtures(path: str | os.PathLike[str], mixtures: Sequence[Mixture], *, overwrite: bool = False) -> Path:
    """Write the CSV file that :func:`minvae_pyro.evaluation.mixtures.read_mixtures` reads.

    Recordings are relative to its folder; either all mixtures are recorded already, or none.

    Raises:
        UserError: the file cannot be written, holds something else that is to be kept, or a name is no Unicode.
        ValueError: some are recorded already, and some are not.
    """
    path = Path(path)
    recorded = {mixture.noisy is not None for mixture in mixtures}
    if len(recorded) > 1:
        raise ValueError("mixtures that are recorded already need a table of their own")

    def relative(file: Path | None) -> str:
        return "" if file is None else Path(os.path.relpath(file, path.parent)).as_posix()

    tracks = [column for column in TRACKS if any(getattr(mixture, column) for mixture in mixtures)]
    rows = [
        {"id": mixture.id, "clip": relative(mixture.clip)}
        | (
            {"noisy": relative(mixture.noisy), "noise": str(mixture.noise)}
            if mixture.noisy is not None
            else {"noise": relative(mixture.noise), "noise_offset_samples": mixture.noise_offset_samples}
        )
        | {"snr_db": mixture.snr_db, "video": relative(mixture.video), "noise_type": mixture.noise_type}
        | {column: getattr(mixture, column) or "" for column in tracks}
        for mixture in mixtures
    ]
    try:
        content = csv_bytes(pd.DataFrame(rows))
    except UnicodeEncodeError as error:
        raise UserError(f"{error.object!r} is the name of a recording and no Unicode: rename it.") from error
    if path.is_file() and path.read_bytes() == content:
        return path
    return write_atomic(path, content, overwrite=overwrite)


def _by_type(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for clip in find_clips("folder", folder):
        below = clip.sound.relative_to(folder).parts
        found.setdefault(below[0] if len(below) > 1 else clip.sound.stem, []).append(clip.sound)
    return dict(sorted(found.items()))


def _rounds(things: Sequence[T], random: np.random.Generator) -> Iterator[T]:
    """All things in random order, again and again."""
    while True:
        yield from (things[place] for place in random.permutation(len(things)))


@functools.cache
def _room(noise: Path) -> int:
    """How many first samples to choose from."""
    seconds = read_sound(noise).seconds
    return max(1, int((seconds - _MARGIN if seconds > 2 * _MARGIN else seconds) * _SAMPLE_RATE))
