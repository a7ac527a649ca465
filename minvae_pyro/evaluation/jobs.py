"""The jobs that an experiment is made of: a system on a batch of mixtures, scored and kept in a file."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.audio.level import SILENCE, level
from minvae_pyro.checkpoints.checkpoint import Checkpoint, checkpoint_file, load_checkpoint
from minvae_pyro.corpora.sources import SOUND_SUFFIXES
from minvae_pyro.corpora.spreadsheets import csv_bytes
from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.enhancement.batch import Estimate, enhance_batch
from minvae_pyro.errors import UserError, WriteError
from minvae_pyro.evaluation.delays import delay_note
from minvae_pyro.evaluation.kept import keep_rows, kept_rows
from minvae_pyro.evaluation.mixtures import Mixture, in_table
from minvae_pyro.evaluation.pitch_errors import PITCH_ERRORS, pitch_errors
from minvae_pyro.evaluation.scores import METRICS, scores
from minvae_pyro.evaluation.systems import CLEAN, INPUT, Estimates, System, given
from minvae_pyro.evaluation.videos import make_video, read_once
from minvae_pyro.files import digest_of, make_folder, write_atomic
from minvae_pyro.inference import Settings
from minvae_pyro.version import __version__
from minvae_pyro.video.track import MouthTrack

_TEXTS = ("system", "id", "talker", "noise", "clip", "note")
_NUMBERS = (*METRICS, "seconds", "elapsed", "real_time_factor", "audio_responsibility")
_COLUMNS = {**dict.fromkeys(_TEXTS, str), "snr_db": float, "seed": int, **dict.fromkeys(_NUMBERS, float)}


@dataclasses.dataclass(frozen=True)
class Job:
    """One system on one batch of mixtures.

    Attributes:
        system: what enhances; other systems' estimates; or None for the mixtures as they are.
        mixtures: those that are enhanced together.
        output: folder of the experiment.
        device: where to compute.
        sounds: whether to keep them.
        pitch: whether to compare the pitch, too.
    """

    system: System | Estimates | None
    mixtures: tuple[Mixture, ...]
    output: Path
    device: str = "cpu"
    sounds: bool = True
    pitch: bool = False

    @property
    def name(self) -> str:
        """Of the system."""
        return INPUT if self.system is None else self.system.name

    @functools.cached_property
    def file(self) -> Path:
        """Where the rows of the finished job are; the name changes with all that decides them."""
        files = [file for mixture in self.mixtures for file in mixture.files]
        description: list[Any] = [__version__, self.name, self.sounds, self.device] + ["pitch"] * self.pitch
        if isinstance(self.system, System):
            files.append(checkpoint_file(self.system.checkpoint))
            # what inference does of itself may change with the version; what a checkpoint asks for, with its content
            usual = dataclasses.asdict(Settings())
            description += [{**usual, **self.system.settings}, self.system.video, self.system.seed]
        elif self.system is not None:
            files += [file for mixture in self.mixtures if (file := self.system.file(mixture)) is not None]
        description += [repr(mixture) for mixture in self.mixtures]
        digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
        for file in files:
            digest.update(_fingerprint(file).encode())
        return self.output / "jobs" / f"{self.name}-{digest.hexdigest()[:16]}.json"

    def rows(self) -> list[dict[str, Any]] | None:
        """What was found, a row for each mixture; None where the job is to be done, again if its file is damaged."""
        known = [{"system": self.name, "id": mixture.id} for mixture in self.mixtures]
        columns = _COLUMNS | dict.fromkeys(PITCH_ERRORS if self.pitch else (), float)
        return kept_rows(self.file, columns, known)

    def run(self) -> None:
        """Enhance and score, and keep what was found."""
        with one_thread():
            rows = list(_rows(self))
        # the rows come last: their file says that the job is finished
        keep_rows(self.file, rows)


def sound_file(output: Path, system: str, mixture: str) -> Path:
    """Where an experiment keeps a sound; system ``input`` is the mixture as it is, ``clean`` the clean sound."""
    return output / "sounds" / system / f"{mixture}.wav"


def responsibility_file(output: Path, system: str, mixture: str) -> Path:
    """Where an experiment keeps the responsibility over time: CSV with ``time`` (s) and ``audio_responsibility``."""
    return output / "responsibilities" / system / f"{mixture}.csv"


def mouths_folder(output: Path) -> Path:
    """Where mouths are kept once they are read."""
    return output / "mouths"


@contextmanager
def noted(notes: list[str]) -> Iterator[None]:
    """Note what goes wrong with one mixture, and go on; a write that fails would fail for the next one too."""
    try:
        yield
    except WriteError:
        raise
    except UserError as error:
        notes.append(str(error))


def _rows(job: Job) -> Iterator[dict[str, Any]]:
    notes: dict[Mixture, list[str]] = {mixture: [] for mixture in job.mixtures}
    built: dict[Mixture, tuple[Tensor, Tensor]] = {}
    for mixture in job.mixtures:
        with noted(notes[mixture]):
            noisy, clean = mixture.build(notes[mixture])
            if level(noisy) <= SILENCE:
                raise UserError(f"the mixture {mixture.id} is silent")
            built[mixture] = noisy, clean
    estimates = _estimates(job, {mixture: noisy for mixture, (noisy, _) in built.items()}, notes)
    for mixture in job.mixtures:
        row = {
            "system": job.name,
            "id": mixture.id,
            "talker": mixture.talker,
            "noise": mixture.noise_name,
            "snr_db": mixture.snr_db,
            "clip": mixture.clip.stem,
            "seed": job.system.seed if isinstance(job.system, System) else 0,
            **dict.fromkeys(_NUMBERS, math.nan),
            **dict.fromkeys(PITCH_ERRORS if job.pitch else (), math.nan),
        }
        if mixture in built:
            row["seconds"] = len(built[mixture][0]) / mixture.sample_rate
        if mixture in estimates:
            row |= _measured(job, mixture, *built[mixture], estimates[mixture], notes[mixture])
        yield {**row, "note": "; ".join(filter(None, notes[mixture]))}


def _measured(
    job: Job, mixture: Mixture, noisy: Tensor, clean: Tensor, estimate: Estimate, notes: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {"elapsed": estimate.elapsed}
    found["real_time_factor"] = estimate.elapsed / (len(noisy) / mixture.sample_rate)
    with noted(notes):
        found |= scores(clean, estimate.speech, mixture.sample_rate, noisy.double() - clean.double())
        notes.append(found.pop("note"))
        notes.append(delay_note(clean, estimate.speech, mixture.sample_rate))
        if job.pitch:
            found |= pitch_errors(clean, estimate.speech, mixture.sample_rate)
    trust = estimate.audio_responsibility
    if trust is not None:
        found["audio_responsibility"] = float(trust.mean())
        table = pd.DataFrame({"time": estimate.frame_times.numpy(), "audio_responsibility": trust.numpy()})
        file = responsibility_file(job.output, job.name, mixture.id)
        make_folder(file.parent)
        write_atomic(file, csv_bytes(table), overwrite=True)
    if job.sounds:
        kept = {job.name: estimate.speech} | ({CLEAN: clean} if job.system is None else {})
        for name, sound in kept.items():
            file = sound_file(job.output, name, mixture.id)
            make_folder(file.parent)
            write_sound(file, Sound(sound.nan_to_num()[None], mixture.sample_rate), overwrite=True)
    return found


def _estimates(
    job: Job, noisy: Mapping[Mixture, Tensor], notes: Mapping[Mixture, list[str]]
) -> dict[Mixture, Estimate]:
    """Without those that there are not, for which the notes say why."""
    if job.system is None:
        return {mixture: given(sound) for mixture, sound in noisy.items()}
    found: dict[Mixture, Estimate] = {}
    mouths: dict[Mixture, MouthTrack | None] = {}
    for mixture, sound in noisy.items():
        with noted(notes[mixture]):
            if isinstance(job.system, Estimates):
                found[mixture] = job.system.read(mixture, sound, notes[mixture])
            else:
                mouths[mixture] = mouth_of(job.system, mixture, job.output, notes[mixture])
    if isinstance(job.system, Estimates) or not mouths:
        return found
    digest = digest_of(checkpoint_file(job.system.checkpoint))
    checkpoint = _loaded(job.system.checkpoint, digest, job.device, tuple(job.system.trust))
    sounds = [noisy[mixture] for mixture in mouths]
    made = enhance_batch(checkpoint, sounds, list(mouths.values()), job.system.seed, job.system.settings)
    return dict(zip(mouths, made, strict=True))


def mouth_of(
    system: System, mixture: Mixture, output: Path, notes: list[str], repaired: list[str] | None = None
) -> MouthTrack | None:
    """The mouth that a system gets with a mixture, on the clock of its sound, kept in the folder ``output``.

    Args:
        system: what enhances.
        mixture: what is enhanced.
        output: folder of the experiment.
        notes: say where there is no video, and what is odd about it.
        repaired: say what was kept but could not be used.

    Raises:
        UserError: a video cannot be read.
    """
    clip = mixture.video or mixture.clip
    if mixture.video is None and clip.suffix.lower() in SOUND_SUFFIXES:
        notes.append("no video: enhanced from the sound alone")
        return None
    found: list[str] = []
    # the clock of the sound that is enhanced: the clip's own, unless its video or its noisy sound is another file
    heard, track = None, mixture.audio_track
    if mixture.video is not None:
        heard = mixture.clip
        if mixture.noisy is not None:
            heard, track = mixture.noisy, mixture.noisy_track
    read = functools.partial(
        read_once,
        cache=mouths_folder(output),
        video_track=mixture.video_track,
        notes=found,
        repaired=repaired,
        heard=heard,
        sound_track=track,
    )
    mouth = make_video(system.video)(clip, read)
    notes += [in_table(note, "video_track") for note in found]
    return mouth


def _fingerprint(file: Path) -> str:
    """Of the content of a file; of one that cannot be read, why: its mixture says so in time."""
    try:
        return digest_of(file)
    except OSError as error:
        return f"{type(error).__name__} {error.errno}"


@functools.lru_cache(maxsize=1)
def _loaded(checkpoint: str, digest: str, device: str, trust: tuple[str, ...]) -> Checkpoint:
    return load_checkpoint(checkpoint, trust).to(device)
