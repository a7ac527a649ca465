"""Letters that tell whether a file is what it was."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path


def digest_of(file: Path) -> str:
    """Letters that change with the content of a file; one that has not changed is read once in a process.

    Raises:
        OSError: it cannot be read.
    """
    status = file.stat()
    return _digest(file, status.st_mtime_ns, status.st_size)


@functools.cache
def _digest(file: Path, changed: int, size: int) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
