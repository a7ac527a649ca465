"""Files: written whole or not at all, checked before long work, told apart by their content."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
import uuid
from pathlib import Path

from minvae_pyro.errors import UserError


def write_atomic(path: str | os.PathLike[str], content: bytes, *, overwrite: bool = False) -> Path:
    """Write a file into an existing folder in one piece: an interrupted program leaves the old file, or none.

    Raises:
        UserError: the file exists and is to be kept, its folder is missing, or it cannot be written.
    """
    path = _check_name(path, overwrite)
    # In the same folder: only there does a rename happen in one step.
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): choose another folder") from error
    finally:
        if part.exists():
            part.unlink()
    return path


def check_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """A file that can be written once the work is done.

    Raises:
        UserError: it is a folder, it exists and is to be kept, or its folder is missing or not writable.
    """
    path = _check_name(path, overwrite)
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: the folder {path.parent} does not exist; make it first.")
    _try_writing(path.parent)
    return path


def _check_name(path: str | os.PathLike[str], overwrite: bool) -> Path:
    path = Path(path)
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; choose a file name.")
    if path.exists() and not overwrite:
        raise UserError(
            f"{path} exists and is kept: choose another name, or overwrite by --overwrite (overwrite=True)."
        )
    return path


def check_folder(path: str | os.PathLike[str], names: tuple[str, ...], *, overwrite: bool = False) -> Path:
    """A folder that files of those ``names`` can be written into; it may have to be made, with those above it.

    Raises:
        UserError: it is a file, a file in it exists and is to be kept, or it cannot be made or written into.
    """
    path = Path(path)
    taken = [name for name in names if (path / name).exists()]
    if taken and not overwrite:
        raise UserError(f"{path} has {', '.join(taken)}, which is kept: choose another, or overwrite by --overwrite.")
    there = next((folder for folder in (path, *path.parents) if folder.exists()), path)
    if not there.is_dir():
        raise UserError(f"cannot write into {path}: {there} is no folder; choose another.")
    _try_writing(there)
    return path


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, where it is missing.

    Raises:
        UserError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path} ({error.strerror}): choose another.") from error


def _try_writing(folder: Path) -> None:
    # permissions lie for administrators and on read-only disks: try
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write into {folder} ({error.strerror}): choose another.") from error


def digest_of(file: Path) -> str:
    """SHA-256 of the content of a file, in hexadecimal; one that has not changed is read once in a process.

    Raises:
        OSError: it cannot be read.
    """
    status = file.stat()
    return _digest(file, status.st_mtime_ns, status.st_size)


@functools.cache
def _digest(file: Path, changed: int, size: int) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
