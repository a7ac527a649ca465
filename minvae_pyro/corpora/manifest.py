"""A prepared folder: ``settings.json``, ``manifest.csv`` and ``features/<id>.safetensors``."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, get_type_hints

from minvae_pyro.audio.stft import STFT
from minvae_pyro.corpora.schema import Range, checked, transform
from minvae_pyro.corpora.spreadsheets import defused, restored
from minvae_pyro.errors import UserError, shown
from minvae_pyro.files import write_atomic

FORMAT = 2
"""Version of the layout of prepared folders."""

DIGITS = 4
"""Of the lengths of clips, after the point; they tell the number of samples to within one at 16 kHz."""

ROUNDING = 0.5 * 10**-DIGITS
"""Seconds by which such a length may be off."""

_PARSE: dict[Any, Any] = {
    str: restored,
    int: int,
    float: float,
    bool: {"True": True, "False": False}.__getitem__,
}


@dataclass(frozen=True)
class Entry:
    """One line of a manifest.

    Attributes:
        id: name of the clip, unique in its folder.
        file: its features, relative to the prepared folder.
        frames: N, STFT frames.
        seconds: length of the sound.
        has_mouth: a mouth is visible in at least one frame.
        faces_found: fraction of frames with a mouth.
        speaker: who talks.
        source: the recording, relative to the source folder.
    """

    id: str
    file: str
    frames: Annotated[int, Range(1, 10**9)]
    seconds: Annotated[float, Range(0, 10**9)]
    has_mouth: bool
    faces_found: Annotated[float, Range(0, 1)]
    speaker: str
    source: str


@dataclass(frozen=True)
class Settings:
    """How a folder was prepared, ``settings.json``.

    Attributes:
        format: version of the layout.
        kind: of the corpus.
        source: folder of the recordings.
        stft: the numbers of the transform.
        audio_track: of the recordings, counted from 1; None for the default track.
        video_track: the same of the video.
        part: of the recordings; None for all.
    """

    format: int
    stft: dict[str, Any]
    kind: str = ""
    source: str = ""
    audio_track: int | None = None
    video_track: int | None = None
    part: str | None = None


def entry_from(given: Any, where: str) -> Entry:
    """The entry that a mapping describes.

    Raises:
        UserError: something in it is missing, of another type or beyond its range, or its file lies elsewhere.
    """
    entry = checked(Entry, given, where)
    file = PurePosixPath(entry.file)
    if file.is_absolute() or ".." in file.parts or "\0" in entry.file or not file.name:
        raise UserError(f"{where}: {shown(entry.file)} is no file in the folder.")
    return entry


def write_manifest(folder: Path, entries: Iterable[Entry]) -> None:
    """Write ``manifest.csv`` whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [field.name for field in fields(Entry)])
    writer.writeheader()
    writer.writerows({name: defused(value) for name, value in asdict(entry).items()} for entry in entries)
    content = text.getvalue().encode(errors="surrogateescape")
    write_atomic(folder / "manifest.csv", content, overwrite=True)


def read_manifest(folder: Path) -> list[Entry]:
    """Read the entries of a prepared folder.

    Raises:
        UserError: no manifest, or one that is damaged or empty.
    """
    path = folder / "manifest.csv"
    if not path.is_file():
        raise UserError(f"{folder} has no manifest.csv: prepare it with `minvae prepare`, to its end.")
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            entries = [_entry(row, f"{path}, line {line}") for line, row in enumerate(csv.DictReader(file), start=2)]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged: remove it and run `minvae prepare` again.") from error
    except UserError as error:
        raise UserError(f"{error} The manifest is damaged: remove it and run `minvae prepare` again.") from error
    if not entries:
        raise UserError(f"{path} lists no clips: prepare the folder again.")
    if twice := [one for one, count in Counter(entry.id for entry in entries).items() if count > 1]:
        raise UserError(f"{path} has the clip {shown(twice[0])} twice: remove it and run `minvae prepare` again.")
    return entries


def _entry(row: Mapping[Any, Any], where: str) -> Entry:
    """The entry of a line of text."""
    given = {}
    for field in fields(Entry):
        text, kind = row.get(field.name), _KINDS[field.name]
        if text is None:
            raise UserError(f"{where} lacks {field.name}.")
        try:
            given[field.name] = _PARSE[kind](text)
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{where}: {field.name} cannot be {shown(text)}.") from None
    return entry_from(given, where)


_KINDS = get_type_hints(Entry)


def read_settings(folder: Path) -> dict[str, Any] | None:
    """The content of ``settings.json``; None where a folder has none.

    Raises:
        UserError: it cannot be read.
    """
    path = folder / "settings.json"
    if not path.is_file():
        return None
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: remove the folder and prepare it again.") from error
    if isinstance(settings, dict) and settings.get("format", FORMAT) != FORMAT:
        raise UserError(
            f"{path} has format {shown(settings['format'])}, this version reads {FORMAT}: prepare it again."
        )
    try:
        checked(Settings, settings, f"{path}")
    except UserError as error:
        raise UserError(f"{error} It is damaged: remove the folder and prepare it again.") from error
    return dict(settings)


def read_stft(folder: Path) -> STFT:
    """The transform that a prepared folder was made with.

    Raises:
        UserError: the folder is missing or was not prepared.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist: name a folder made by `minvae prepare`.")
    settings = read_settings(folder)
    if settings is None:
        raise UserError(f"{folder} has no settings.json: name a folder made by `minvae prepare`.")
    return transform(settings["stft"], f"{folder / 'settings.json'}: stft")
