"""Files: read from wherever they come, written whole or not at all, checked before long work."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from minvae_pyro.errors import UserError, WriteError

FilePath: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes]"
"""A file by its name."""

File: TypeAlias = "FilePath | IO[bytes]"
"""A file by its name, or what has a method ``read`` that gives bytes, from where it stands."""

OPENED = "the opened file"
"""What messages call a file that has no name."""

# Readers tell some formats by the suffix, which the content of an opened file has to give.
_SUFFIXES = {b"\x93NUMPY": ".npy", b"\x89HDF": ".mat", b"\x00\x00\x01\xba": ".mpg"}

# no room, too large a file, over quota, input/output error, read-only
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EROFS}

P = ParamSpec("P")
T = TypeVar("T")


def reader(read: Callable[Concatenate[Path, P], T]) -> Callable[Concatenate[File, P], T]:
    """Let a function that reads a file by its path read any :data:`File`, and fail in one way.

    Whatever a library raises for a file that it cannot digest becomes a :class:`UserError`: nothing else may end the
    work on other files.
    """

    @functools.wraps(read)
    def read_any(file: File, *args: P.args, **options: P.kwargs) -> T:
        with on_disk(file) as path:
            try:
                return read(path, *args, **options)
            except UserError:
                raise
            except Exception as error:
                reason = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
                raise UserError(f"cannot read {path} ({reason}): convert it, or use a complete copy.") from error

    return read_any


@contextmanager
def on_disk(file: File) -> Iterator[Path]:
    """The path of a file; the content of an opened one is kept on disk as long as it is needed.

    Raises:
        UserError: it is neither a path nor opened for reading bytes.
    """
    if not hasattr(file, "read"):
        yield path_of(file)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = _copied(file, Path(folder))
        try:
            yield path
        except UserError as error:
            raise UserError(str(error).replace(str(path), OPENED)) from error


def _copied(file: Any, folder: Path) -> Path:
    try:
        start = file.read(8)
        if not isinstance(start, bytes | bytearray | memoryview):
            raise UserError(f"{OPENED} gives {type(start).__name__}, not bytes: open it in mode 'rb'.")
        known = Path(os.fsdecode(name)).suffix if isinstance(name := getattr(file, "name", ""), str | bytes) else ""
        suffix = next((found for magic, found in _SUFFIXES.items() if bytes(start).startswith(magic)), known)
        path = folder / f"opened{suffix}"
        with path.open("wb") as copy:
            copy.write(start)
            shutil.copyfileobj(file, copy)
    except (OSError, ValueError) as error:  # closed, say, or open for writing alone
        raise UserError(f"{OPENED} cannot be read ({error}): open it in mode 'rb'.") from error
    return path


def path_of(file: FilePath) -> Path:
    """A path, from whatever the system takes for one.

    Raises:
        UserError: it is none.
    """
    try:
        path = Path(os.fsdecode(file))
    except TypeError as error:
        raise UserError(f"a file is named by a path, not by {type(file).__name__}.") from error
    if "\0" in str(path):
        raise UserError(f"{str(path)!r} is no path: it has a zero byte.")
    return path


def write_atomic(path: FilePath, content: bytes | memoryview, *, overwrite: bool = False) -> Path:
    """Write a file into an existing folder in one piece: an interrupted program leaves the old file, or none.

    Raises:
        UserError: the file exists and is to be kept.
        WriteError: its folder is missing, or it cannot be written.
    """
    with replacing(path, overwrite=overwrite) as part:
        part.write_bytes(content)
    return path_of(path)


@contextmanager
def replacing(path: FilePath, *, overwrite: bool = False) -> Iterator[Path]:
    """A name to write a file under, which becomes ``path`` once it is whole, and is no more if writing fails.

    Raises:
        UserError: the file exists and is to be kept.
        WriteError: its folder is missing, or it cannot be written.
    """
    path = _check_name(path, overwrite)
    # In the same folder: only there does a rename happen in one step.
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise WriteError(f"cannot write {path} ({error.strerror}): {_way_out(error)}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def failed_write(error: BaseException | None) -> OSError | None:
    """The error behind this one, or this one, that says that a disk takes no more; None where there is none."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in _FULL:
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _way_out(error: OSError) -> str:
    return "make room and run it again." if error.errno in _FULL else "choose another folder."


def check_file(path: FilePath, *, overwrite: bool = False) -> Path:
    """A file that can be written once the work is done.

    Raises:
        UserError: it is a folder, it exists and is to be kept, or its folder is missing or not writable.
    """
    path = _check_name(path, overwrite)
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: the folder {path.parent} does not exist; make it first.")
    _try_writing(path.parent)
    return path


def _check_name(path: FilePath, overwrite: bool) -> Path:
    path = path_of(path)
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; choose a file name.")
    if path.exists() and not overwrite:
        raise UserError(
            f"{path} exists and is kept: choose another name, or overwrite by --overwrite (overwrite=True)."
        )
    return path


def check_folder(path: FilePath, names: tuple[str, ...], *, overwrite: bool = False) -> Path:
    """A folder that files of those ``names`` can be written into; it may have to be made, with those above it.

    Raises:
        UserError: it is a file, a file in it exists and is to be kept, or it cannot be made or written into.
    """
    path = path_of(path)
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
        WriteError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot make the folder {path} ({error.strerror}): {_way_out(error)}") from error


def _try_writing(folder: Path) -> None:
    # permissions lie for administrators and on read-only disks: try
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise WriteError(f"cannot write into {folder} ({error.strerror}): {_way_out(error)}") from error


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
