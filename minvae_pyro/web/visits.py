"""Folders for what is made for visitors, which are gone when these are."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from pathlib import Path


class Visits:
    """One folder for each visitor, with a name that nobody can guess, for the last job of theirs.

    Args:
        root: an existing folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[str, tuple[Path, float]] = {}
        self._lock = threading.Lock()

    def folder(self, visitor: str) -> Path:
        """A new empty folder, for which that of the visitor's job before is deleted."""
        self.leave(visitor)
        folder = self.root / secrets.token_urlsafe(16)
        folder.mkdir()
        with self._lock:
            self._folders[visitor] = folder, time.monotonic()
        return folder

    def leave(self, visitor: str) -> None:
        """Delete what there is of a visitor."""
        with self._lock:
            folder, _ = self._folders.pop(visitor, (None, 0.0))
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self, seconds: float) -> None:
        """Delete what is older than so many seconds: a browser that was killed does not say that it leaves."""
        now = time.monotonic()
        with self._lock:
            old = [visitor for visitor, (_, since) in self._folders.items() if now - since > seconds]
        for visitor in old:
            self.leave(visitor)
