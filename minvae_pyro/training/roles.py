"""The parts of a training corpus that the stages of a family learn from: familiar talkers, strangers, all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from minvae_pyro.corpora.hold_out import HoldOut
from minvae_pyro.corpora.manifest import Entry, read_manifest, read_stft, write_manifest
from minvae_pyro.errors import UserError, about
from minvae_pyro.files import make_folder, write_atomic

ROLES = {
    "train": "all that is given",
    "filmed": "all clips that show a mouth",
    "familiar": "clips with a mouth of talkers that the visual component meets from the beginning",
    "strangers": "clips with a mouth of the other talkers",
}
"""What a stage may learn from."""

_STRANGERS = HoldOut("talker", 0.2)

_Keep = Callable[[Entry], bool]


def divided(
    train: Sequence[str], strangers: Sequence[str], views: Path, note: Callable[[str], None]
) -> dict[str, list[str]]:
    """Prepared folders by role.

    Args:
        train: prepared folders.
        strangers: those of talkers that are not to be familiar; a fifth of the talkers in ``train`` when empty.
        views: folder for those that show a part of another; nothing is copied into them.
        note: told what could not be done well.

    Raises:
        UserError: a folder is missing or not prepared.
    """
    with about("data.train"):
        known = {folder: _entries(folder) for folder in train}
    with about("data.strangers"):
        foreign = {folder: _entries(folder) for folder in strangers}
    talkers = {entry.speaker for entries in known.values() for entry in entries if entry.has_mouth}
    chosen: set[str] = set()
    if not talkers:
        note("no clip in data.train shows a mouth: what the eyes are worth cannot be learnt from these data.")
    elif not foreign and len(talkers) > 1:
        chosen = _STRANGERS.choose(talkers)
        note(f"strangers to the visual component until the last stage: {len(chosen)} of {len(talkers)} talkers.")
    elif not foreign:
        note(
            "all clips are of one talker, whom the visual component knows: the gate cannot learn what it is worth for "
            "a stranger. Give others as --data.strangers, or use the checkpoint for this talker alone."
        )
    parts: dict[str, tuple[Mapping[str, list[Entry]], _Keep]] = {
        "filmed": ({**known, **foreign}, lambda entry: entry.has_mouth),
        "familiar": (known, lambda entry: entry.has_mouth and entry.speaker not in chosen),
        "strangers": (foreign or known, lambda entry: entry.has_mouth and (bool(foreign) or entry.speaker in chosen)),
    }
    found = {role: _views(folders, keep, views / role) for role, (folders, keep) in parts.items()}
    return {"train": [*train, *strangers], **found}


def weighed(roles: Mapping[str, Sequence[str]], weights: Mapping[str, float], stage: str) -> list[str]:
    """The folders of a stage, each as often as its role is to be compared with the first one.

    Raises:
        UserError: nothing is left to learn from.
    """
    clips = {role: sum(len(read_manifest(Path(folder))) for folder in roles[role]) for role in weights}
    weights = {role: weight for role, weight in weights.items() if clips[role]}
    if not weights:
        raise UserError(f"stage {stage} learns from clips that show a mouth, and data.train has none: prepare videos.")
    first = next(iter(weights))
    folders: list[str] = []
    for role, weight in weights.items():
        often = round(weight / weights[first] * clips[first] / clips[role])
        folders += list(roles[role]) * max(1, often)
    return folders


def _entries(folder: str) -> list[Entry]:
    read_stft(Path(folder))
    return read_manifest(Path(folder))


def _views(folders: Mapping[str, list[Entry]], keep: _Keep, views: Path) -> list[str]:
    """Of each folder a view with some of its clips: itself where that is all, none where nothing is left."""
    found = []
    for number, (folder, entries) in enumerate(folders.items()):
        kept = [entry for entry in entries if keep(entry)]
        if len(kept) == len(entries):
            found.append(folder)
        elif kept:
            found.append(str(_view(Path(folder), kept, views / f"{number}-{Path(folder).name}")))
    return found


def _view(folder: Path, entries: Sequence[Entry], view: Path) -> Path:
    """A prepared folder with some clips of another: a manifest of its own, and the same features."""
    make_folder(view)
    write_atomic(view / "settings.json", (folder / "settings.json").read_bytes(), overwrite=True)
    # entries name files below this folder
    for top in {Path(entry.file).parts[0] for entry in entries}:
        with suppress(FileExistsError):
            os.symlink((folder / top).resolve(), view / top)
    write_manifest(view, entries)
    return view
