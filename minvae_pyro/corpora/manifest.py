"""A prepared folder: ``settings.json``, ``manifest.csv`` and ``features/<id>.safetensors``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from minvae_pyro.audio.stft import STFT
from minvae_pyro.corpora.spreadsheets import defused, restored
from minvae_pyro.errors import UserError
from minvae_pyro.files import write_atomic

FORMAT = 2
"""Version of the layout of prepared folders."""

_PARSE: dict[Any, Any] = {
    "str": restored,
    "int": int,
    "float": float,
    "bool": {"True": True, "False": False}.__getitem__,
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
    frames: int
    seconds: float
    has_mouth: bool
    faces_found: float
    speaker: str
    source: str


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
            rows = csv.DictReader(file)
            entries = [Entry(**{f.name: _PARSE[f.type](row[f.name]) for f in fields(Entry)}) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: remove it and run `minvae prepare` again.") from error
    if not entries:
        raise UserError(f"{path} lists no clips: prepare the folder again.")
    return entries


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
        assert isinstance(settings["stft"], dict)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise UserError(f"{path} is damaged: remove the folder and prepare it again.") from error
    if settings.get("format") != FORMAT:
        raise UserError(f"{path} has format {settings.get('format')}, this version reads {FORMAT}: prepare it again.")
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
    return STFT(**settings["stft"])
