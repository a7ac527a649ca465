"""How much a WAV file says to hold, and how much it does."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

_NO_SIZE = 0x7FFF0000  # bytes; recorders that do not know yet write 0, or about the most that there can be


def wav_bytes(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Bytes of sound that a WAV file announces, and those that are there; None if it is none, or does not know."""
    with open(path, "rb") as file:
        kind, wave = file.read(4), file.read(8)[4:]
        if kind not in (b"RIFF", b"RF64") or wave != b"WAVE":
            return None
        wide = 0
        while len(header := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", header)
            if name == b"data":
                size = wide or size
                there = _rest(file)
                return None if size == 0 or there < _NO_SIZE <= size else (size, there)
            if name == b"ds64":
                content = file.read(size)
                wide = struct.unpack("<Q", content[8:16])[0] if len(content) >= 16 else 0
                file.seek(size % 2, os.SEEK_CUR)
            else:
                file.seek(size + size % 2, os.SEEK_CUR)
    return None


def _rest(file: BinaryIO) -> int:
    here = file.tell()
    return file.seek(0, os.SEEK_END) - here
