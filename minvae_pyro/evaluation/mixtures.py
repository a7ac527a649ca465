"""Test mixtures from a table: mixed as it says, or recorded already."""

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from minvae_pyro.audio.files import read_sound
from minvae_pyro.audio.mixing import mix_at_snr
from minvae_pyro.corpora.sources import speaker_of
from minvae_pyro.corpora.spreadsheets import restored
from minvae_pyro.errors import UserError

_COLUMNS = ("id", "clip", "noise", "noise_offset_samples", "snr_db")
_RECORDED = ("id", "clip", "noisy")
TRACKS = ("audio_track", "noisy_track", "video_track")
"""Columns with numbers of tracks."""

_SLACK = 0.05  # seconds by which a recorded mixture may be longer or shorter than its clean sound


@dataclasses.dataclass(frozen=True)
class Mixture:
    """One line of a table of mixtures: what is mixed with what.

    Attributes:
        id: name of the mixture, unique in its table.
        clip: clean recording, with its video if it has one.
        noise: noise recording; of a recorded mixture no more than its name.
        noise_offset_samples: where the noise starts, at ``sample_rate``.
        snr_db: signal-to-noise ratio over the whole clip; NaN where nobody knows.
        sample_rate: in Hz, of the mixture.
        video: file that shows the mouth, if not in ``clip``.
        noise_type: kind of noise, if the name of its file does not say it.
        noisy: the mixture itself, where it is recorded already.
        audio_track: of the clip, counted from 1, where it has several; by default the default track.
        noisy_track: the same of ``noisy``.
        video_track: of the file that shows the mouth.
    """

    id: str
    clip: Path
    noise: Path
    noise_offset_samples: int
    snr_db: float
    sample_rate: int = 16000
    video: Path | None = None
    noise_type: str = ""
    noisy: Path | None = None
    audio_track: int | None = None
    noisy_track: int | None = None
    video_track: int | None = None

    @property
    def talker(self) -> str:
        """Who talks, by the folder of the clip."""
        return speaker_of(self.clip)

    @property
    def noise_name(self) -> str:
        """Kind of noise, for tables."""
        return self.noise_type or self.noise.stem

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is read of it."""
        sounds = (self.clip, self.noise) if self.noisy is None else (self.clip, self.noisy)
        return sounds if self.video is None else (*sounds, self.video)

    def build(self, notes: list[str] | None = None) -> tuple[Tensor, Tensor]:
        """The mixture and the clean sound in it, (samples,) each, mono; ``notes`` get what is odd about the files.

        Raises:
            UserError: a recording cannot be read or is silent, or a recorded mixture does not fit its clean sound.
        """
        notes = [] if notes is None else notes
        clean = self._read(self.clip, "audio_track", notes)
        if self.noisy is not None:
            return self._fit(self._read(self.noisy, "noisy_track", notes), clean)
        try:
            return mix_at_snr(clean, self._read(self.noise, "", []), self.snr_db, self.noise_offset_samples)
        except ValueError as error:
            raise UserError(f"Cannot mix {self.clip} with {self.noise} (mixture {self.id}): {error}") from error

    def _read(self, path: Path, column: str, notes: list[str]) -> Tensor:
        sound = read_sound(path, getattr(self, column) if column else None)
        notes += [in_table(f"{path.name}: {note}", column) for note in sound.notes]
        return sound.resample(self.sample_rate).mono()

    def _fit(self, noisy: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        if abs(len(noisy) - len(clean)) > _SLACK * self.sample_rate:
            lengths = f"{len(noisy) / self.sample_rate:.3f} and {len(clean) / self.sample_rate:.3f} s"
            raise UserError(f"{self.noisy} and {self.clip} (mixture {self.id}) last {lengths}: align them.")
        samples = min(len(noisy), len(clean))
        return noisy[:samples], clean[:samples]


def in_table(note: str, column: str) -> str:
    """A note on a file of a table, which has columns where a command has options."""
    return note.replace("--audio-track", f"the column {column}").replace("--video-track", f"the column {column}")


def read_mixtures(path: str | os.PathLike[str]) -> list[Mixture]:
    """Read a table of mixtures, a CSV file; recordings are paths relative to its folder.

    It has the columns id, clip, noise, noise_offset_samples, snr_db; or, of mixtures that are recorded already, id,
    clip (the clean sound), noisy, and perhaps noise (its name) and snr_db. The columns video, noise_type,
    audio_track (of clip), noisy_track and video_track (of the file that shows the mouth; all counted from 1) may stand
    in both.

    Raises:
        UserError: missing file, column or recording, an entry that is no number, or an id that occurs twice.
    """
    path = Path(path)
    try:
        table = pd.read_csv(path, dtype=str, encoding_errors="surrogateescape", na_filter=False).map(restored)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: give a table of mixtures (CSV).") from error
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"Cannot read the table of mixtures {path}: {reason}") from error
    needed = _RECORDED if "noisy" in table else _COLUMNS
    missing = [column for column in needed if column not in table]
    if missing:
        raise UserError(f"{path} lacks the columns {', '.join(missing)}: it needs {', '.join(needed)}.")
    if table["id"].duplicated().any():
        raise UserError(f"{path} has the id {table['id'][table['id'].duplicated()].iloc[0]} twice: ids are unique.")
    mixtures = []
    for line, row in enumerate(table.to_dict("records"), start=2):
        try:
            if not all(row[column] for column in needed):
                raise ValueError("an entry is missing")
            mixture = _mixture(path.parent, row)
        except (OverflowError, ValueError) as error:
            raise UserError(f"{path}, line {line}: an entry is missing or is no number.") from error
        for recording in mixture.files:
            if not recording.is_file():
                raise UserError(f"{path}, line {line}: {recording} does not exist.")
        mixtures.append(mixture)
    return mixtures


def _mixture(folder: Path, row: dict[Any, str]) -> Mixture:
    """The mixture of a line; ValueError where an entry is no number."""
    noise, snr_db = row.get("noise", ""), float(row.get("snr_db") or math.nan)
    recorded = "noisy" in row
    tracks: dict[str, Any] = {column: _track(row.get(column, "")) for column in TRACKS}
    if not recorded and not math.isfinite(snr_db):
        raise ValueError("no ratio")
    return Mixture(
        row["id"],
        folder / row["clip"],
        Path(noise or "unknown") if recorded else folder / noise,
        0 if recorded else int(float(row["noise_offset_samples"])),
        snr_db,
        video=folder / row["video"] if row.get("video") else None,
        noise_type=row.get("noise_type", ""),
        noisy=folder / row["noisy"] if recorded else None,
        **tracks,
    )


def _track(text: str) -> int | None:
    """The number of a track; ValueError where it is none."""
    if not text:
        return None
    if (number := int(text)) < 1:
        raise ValueError("tracks are counted from 1")
    return number
