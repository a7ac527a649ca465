"""What an experiment keeps of its work in files: believed as long as they are as they were written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from minvae_pyro.corpora.schema import checked, mismatch
from minvae_pyro.errors import UserError
from minvae_pyro.files import write_atomic
from minvae_pyro.video.track import MouthTrack

_FORMAT = 1  # version of both kinds of files
_KEY = "minvae_pyro"
_DTYPES = {"crops": torch.uint8, "times": torch.float64, "found": torch.bool}
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError, UserError)


@dataclass(frozen=True)
class _Seal:
    """What stands beside the content of a file; the digest says that it is the content that was written there."""

    format: int
    digest: str
    content: list[Any]


@dataclass(frozen=True)
class KeptMouth:
    """The mouth of a clip.

    Attributes:
        mouth: on the clock of the file.
        notes: plain sentences on the file.
    """

    mouth: MouthTrack
    notes: tuple[str, ...]


def keep_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of a table; NaN and infinity are numbers, too.

    Raises:
        WriteError: they cannot be written.
    """
    write_atomic(path, json.dumps(_sealed(path, list(rows), ())).encode(), overwrite=True)


def kept_rows(path: Path, kinds: Mapping[str, type], known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """The rows of a file, or None where it is missing, damaged, of another version, or was changed.

    Args:
        path: of the file.
        kinds: type of each column: text, whole numbers, or numbers, which may be NaN or infinite.
        known: what is known before of each row.
    """
    try:
        rows = _opened(path, json.loads(path.read_text(encoding="utf-8")), ())
        fits = len(rows) == len(known) and all(map(_fits, rows, known, [kinds] * len(rows)))
    except _DAMAGED:
        return None
    return rows if fits else None


def keep_mouth(path: Path, kept: KeptMouth) -> None:
    """Write a mouth.

    Raises:
        WriteError: it cannot be written.
    """
    tensors = {name: getattr(kept.mouth, name).to(kind).contiguous() for name, kind in _DTYPES.items()}
    described = json.dumps(_sealed(path, list(kept.notes), tensors.values()))
    # another process may have been quicker
    write_atomic(path, save(tensors, metadata={_KEY: described}), overwrite=True)


def kept_mouth(path: Path) -> KeptMouth | None:
    """The mouth in a file, or None where it is missing, damaged, of another version, or was changed."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in _DTYPES}
            notes = _opened(path, json.loads(file.metadata()[_KEY]), tensors.values())
        mouth = MouthTrack(**tensors)
        fits = all(tensors[name].dtype == kind for name, kind in _DTYPES.items())
        fits = fits and bool(mouth.times.isfinite().all() and (mouth.times.diff() > 0).all())
    except _DAMAGED:
        return None
    return KeptMouth(mouth, tuple(notes)) if fits and all(isinstance(note, str) for note in notes) else None


def _sealed(path: Path, content: list[Any], tensors: Iterable[Tensor]) -> dict[str, Any]:
    return {"format": _FORMAT, "digest": _digest(path, content, tensors), "content": content}


def _opened(path: Path, given: Any, tensors: Iterable[Tensor]) -> list[Any]:
    """The content that is sealed.

    Raises:
        UserError: it is not what was written into this file, by this version.
    """
    seal = checked(_Seal, given, str(path))
    if seal.format != _FORMAT or seal.digest != _digest(path, seal.content, tensors):
        raise UserError(f"{path} is not as it was written.")
    return seal.content


def _digest(path: Path, content: list[Any], tensors: Iterable[Tensor]) -> str:
    """Of the content, and of the name of the file, which says what it is the content of."""
    digest = hashlib.sha256(json.dumps([_FORMAT, path.name, content]).encode())
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _fits(row: Any, known: Mapping[str, Any], kinds: Mapping[str, type]) -> bool:
    if not isinstance(row, dict) or row.keys() != kinds.keys():
        return False
    typed = all(
        isinstance(row[name], float | int) if kind is float else not mismatch(row[name], kind)
        for name, kind in kinds.items()
    )
    return typed and all(row[name] == value for name, value in known.items())
