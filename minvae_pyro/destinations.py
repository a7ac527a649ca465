"""Ask before long work whether its result will find a place."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from minvae_pyro.errors import UserError


def check_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """A file that can be written once the work is done.

    Raises:
        UserError: it is a folder, it exists and is to be kept, or its folder is missing or not writable.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; choose a file name.")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists and is kept: choose another name, or overwrite it by --overwrite.")
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: the folder {path.parent} does not exist; make it first.")
    _try_writing(path.parent)
    return path


def check_folder(path: str | os.PathLike[str], names: tuple[str, ...], *, overwrite: bool = False) -> Path:
    """A folder that some files can be written into; it may have to be made, with those above it.

    Args:
        path: the folder.
        names: of the files.
        overwrite: files of that name may be replaced.

    Raises:
        UserError: it is a file, a file in it exists and is to be kept, or it cannot be made or written into.
    """
    path = Path(path)
    taken = [name for name in names if (path / name).exists()]
    if taken and not overwrite:
        raise UserError(f"{path} has {', '.join(taken)}, which is kept: choose another, or overwrite by --overwrite.")
    there = path
    while not there.exists() and there != there.parent:
        there = there.parent
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
