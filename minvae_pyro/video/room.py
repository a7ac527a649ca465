"""Room for the pictures of a long video: in a file without a name, of which only what is looked at is in memory."""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy as np
from numpy.typing import NDArray

_LARGE = 32 << 20  # bytes, five minutes of mouths at 25 pictures a second; less stays in memory


class Room:
    """Zeros to write pictures over.

    Args:
        shape: of all of them.

    Attributes:
        pictures: uint8 of that shape.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._map: mmap.mmap | None = None
        size = int(np.prod(shape))
        if size <= _LARGE:
            self.pictures: NDArray[np.uint8] = np.zeros(shape, np.uint8)
            return
        try:
            with tempfile.TemporaryFile() as file:
                # where the disk has no room it is said now: a write into the mapping would end the process
                os.posix_fallocate(file.fileno(), 0, size)
                self._map = mmap.mmap(file.fileno(), size)
        except (OSError, AttributeError):  # full, or a system without
            self.pictures = np.zeros(shape, np.uint8)
            return
        self.pictures = np.frombuffer(self._map, np.uint8).reshape(shape)

    def leave(self) -> None:
        """Give the memory of what was looked at back; the pictures stay."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """A copy for another process holds its pictures in memory."""
        return type(None), ()
