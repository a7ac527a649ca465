"""Experiments: systems on mixtures, scored, in jobs that an interrupted run need not do again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pandas as pd

from minvae_pyro.audio.libraries import load_librosa
from minvae_pyro.checkpoints.checkpoint import check_device, describe
from minvae_pyro.corpora.spreadsheets import csv_bytes
from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.jobs import Job, mouth_of, mouths_folder, noted
from minvae_pyro.evaluation.metrics import column
from minvae_pyro.evaluation.mixtures import Mixture
from minvae_pyro.evaluation.pitch_errors import PITCH_ERRORS
from minvae_pyro.evaluation.scores import METRICS
from minvae_pyro.evaluation.systems import INPUT, Estimates, System, check_name
from minvae_pyro.files import check_folder, make_folder, write_atomic

BATCH = 12
"""Mixtures that are inferred together. Their number decides which random numbers each of them gets."""

TABLES = ("scores.parquet", "scores.csv")
"""Files that hold the table of an experiment."""

_MIXTURE = ("system", "id", "talker", "noise", "snr_db", "clip", "seed")
_LAST = ("seconds", "elapsed", "real_time_factor", "audio_responsibility", "note")

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps of it are done, and how many there are (0: nobody knows)."""


def evaluate(
    mixtures: Sequence[Mixture],
    systems: Sequence[System],
    output: str | os.PathLike[str],
    *,
    estimates: Mapping[str, str | os.PathLike[str]] | None = None,
    workers: int = 1,
    device: str = "cpu",
    sounds: bool = True,
    pitch: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Enhance mixtures by systems, and score everything.

    What is finished is kept in ``output`` and is not done again, until something changes that decides it: recordings,
    mixtures, checkpoint, settings, version of the package. Mixtures are enhanced in batches of :data:`BATCH`, in their
    order. One that cannot be read gets scores that are NaN and a note; the rest of its batch goes on.

    Args:
        mixtures: what is enhanced.
        systems: what enhances.
        output: folder of the results: the table (:data:`TABLES`), sounds (see
            :func:`minvae_pyro.evaluation.jobs.sound_file`) and responsibilities over time.
        estimates: by the name of another system, the folder of what it has made of the mixtures: files ID.wav or
            ID.flac.
        workers: processes; the results do not depend on their number.
        device: where to compute.
        sounds: whether to keep them.
        pitch: whether to compare the pitch with that of the clean speech, too.
        overwrite: replace the table of an earlier experiment in the same folder.
        progress: called with how far the work is.
        note: called with a plain sentence on each file in ``output`` that was kept but is damaged, and done again.

    Returns:
        A row for each system and mixture: first the mixtures as they are, as system ``input``, then ``systems``, then
        ``estimates``. The columns: system, id, talker, noise, snr_db, clip, seed; ``factor:NAME`` for each factor of
        the systems; the scores of :data:`minvae_pyro.evaluation.scores.METRICS` and, as ``<score>_gain``, what they are
        above those of the mixture (NaN where that is infinite, as SI-SAR is); with ``pitch`` the errors of
        :data:`minvae_pyro.evaluation.pitch_errors.PITCH_ERRORS`; seconds (of sound), elapsed (of
        inference), real_time_factor; audio_responsibility (mean over frames, NaN without alpha); note.

    Raises:
        UserError: before any work, what cannot be used of mixtures, systems, estimates or output.
    """
    output = Path(output)
    others = [Estimates(name, Path(folder)) for name, folder in (estimates or {}).items()]
    _check(mixtures, systems, others, workers, device)
    if pitch:
        load_librosa("the comparison of pitch")
    check_folder(output, TABLES, overwrite=overwrite)
    for folder in (mouths_folder(output), output / "jobs"):
        make_folder(folder)
    report = progress or (lambda what, done, total: None)
    batches = [tuple(mixtures[first : first + BATCH]) for first in range(0, len(mixtures), BATCH)]
    jobs = [Job(s, batch, output, device, sounds, pitch) for s in (None, *systems, *others) for batch in batches]
    tell = note or (lambda sentence: None)
    missing = [job for job in jobs if job.rows() is None]
    for job in missing:
        if job.file.exists():
            tell(f"{job.file} was damaged, or of another version: {job.name} is done again")
    for sentence in _read_mouths(missing, workers, report):
        tell(sentence)
    calls = [joblib.delayed(Job.run)(job) for job in missing]
    _side_by_side(calls, workers, "enhancing and scoring", report, len(jobs))
    table = _table([row for job in jobs for row in _found(job)], systems)
    for name, content in zip(TABLES, (table.to_parquet(index=False), csv_bytes(table)), strict=True):
        write_atomic(output / name, content, overwrite=True)
    return table


def _found(job: Job) -> list[dict[str, Any]]:
    rows = job.rows()
    if rows is None:
        raise UserError(f"{job.file} was changed while the evaluation went on: run it again.")
    return rows


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the table of an experiment again from its folder.

    Raises:
        UserError: it has none, or it is damaged.
    """
    file = Path(path) / TABLES[0]
    if not file.is_file():
        raise UserError(f"there is no table {file}: run `minvae evaluate` first.")
    try:
        return pd.read_parquet(file)
    except Exception as error:  # what Arrow raises has no common base
        raise UserError(f"{file} is damaged: run `minvae evaluate` again with --overwrite.") from error


def _check(
    mixtures: Sequence[Mixture], systems: Sequence[System], others: Sequence[Estimates], workers: int, device: str
) -> None:
    if not mixtures:
        raise UserError("there are no mixtures to evaluate on: give some.")
    if workers < 1:
        raise UserError(f"there must be at least 1 worker, not {workers}.")
    check_device(device)
    names = [system.name for system in systems] + [other.name for other in others]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"there are two systems {twice[0]}: give each a name of its own, NAME=...")
    for mixture in mixtures:
        if Path(mixture.id).name != mixture.id or mixture.id.startswith("."):
            raise UserError(f"the id {mixture.id!r} of a mixture is no file name: leave out slashes and a leading dot.")
    for system in systems:
        rate = describe(system.check().checkpoint, system.trust)["stft"]["sample_rate"]
        if any(mixture.sample_rate != rate for mixture in mixtures):
            raise UserError(f"system {system.name} needs {rate} Hz, which not all mixtures have: make them anew.")
    for other in others:
        check_name(other.name)
        if not any(other.file(mixture) for mixture in mixtures):
            example = other.folder / f"{mixtures[0].id}.wav"
            raise UserError(
                f"{other.folder} has no estimate of any mixture: name them by their ids, such as {example}."
            )


def _read_mouths(jobs: Sequence[Job], workers: int, report: Progress) -> list[str]:
    """Read the mouths that jobs need, each once; the job that needs one that cannot be read notes it.

    Returns:
        Sentences on what was kept but could not be used.
    """
    wanted = {
        (mixture.video or mixture.clip, mixture.audio_track, mixture.video_track, repr(job.system.video)): (
            job.system,
            mixture,
            job.output,
        )
        for job in jobs
        if isinstance(job.system, System)
        for mixture in job.mixtures
    }
    calls = [joblib.delayed(_read_mouth)(*needed) for needed in wanted.values()]
    told = _side_by_side(calls, workers, "reading mouths", report, len(calls))
    return sorted({sentence for sentences in told for sentence in sentences})


def _read_mouth(system: System, mixture: Mixture, output: Path) -> list[str]:
    repaired: list[str] = []
    with one_thread(), noted([]):
        mouth_of(system, mixture, output, [], repaired)
    return repaired


def _side_by_side(calls: Sequence[Any], workers: int, what: str, report: Progress, total: int) -> list[Any]:
    """Make calls, the last of ``total`` of which the others are done already; what they return is in no order."""
    running = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch=workers)
    first = total - len(calls)
    report(what, first, total)
    returned = []
    for done, value in enumerate(running(calls), start=first + 1):
        returned.append(value)
        report(what, done, total)
    return returned


def _unicode(value: Any) -> Any:
    """Text as it is, but for bytes of a file name that are no text, which a table has no way to keep."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _table(rows: Sequence[Mapping[str, Any]], systems: Sequence[System]) -> pd.DataFrame:
    table = pd.DataFrame([{name: _unicode(value) for name, value in row.items()} for row in rows])
    factors = {system.name: system.factors for system in systems}
    names = list(dict.fromkeys(name for levels in factors.values() for name in levels))
    for name in names:
        table[column(name)] = [factors.get(system, {}).get(name) for system in table["system"]]
    before = table[table["system"] == INPUT].set_index("id")
    for metric in METRICS:
        reference = before[metric].where(np.isfinite(before[metric]))
        table[f"{metric}_gain"] = table[metric] - table["id"].map(reference)
    numbers = [*METRICS, *(f"{metric}_gain" for metric in METRICS)]
    pitch = [name for name in PITCH_ERRORS if name in table]
    return table[[*_MIXTURE, *map(column, names), *numbers, *pitch, *_LAST]]
