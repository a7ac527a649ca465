"""A recording of a person, so that a lesson needs no download: see CREDITS.md beside it."""

from __future__ import annotations

from pathlib import Path

CREDIT = "GRID corpus, talker 1 (Cooke, Barker, Cunningham & Shao 2006, Zenodo 3625687), CC-BY 4.0"
"""Whom to name with the recording."""


def grid_clip() -> Path:
    """The file of three seconds of a talker who is heard and seen; its credit is :data:`CREDIT`."""
    return Path(__file__).parent / "grid-s1-bbaf2n.mkv"
