"""Which recordings a corpus consists of: GRID, NTCD-TIMIT, or any folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from minvae_pyro.errors import UserError

SOUND_SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac"}
VIDEO_SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".ogv", ".flv", ".avi", ".wmv"),
    *(".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts"),
}
_SPLITS_AND_CONTENTS = {"train", "validation", "test", "audio", "video", "lips", "mpg_6000", "mpg_vcd"}
# VoxCeleb, VCTK, GRID, speechocean762: their talkers, above folders of recordings
_TALKER = re.compile(r"id\d{5}|p\d{3}|s\d{1,2}|SPEAKER\d{4}")
_ABOVE = 3  # folders in which a corpus may say who talks


@dataclass(frozen=True)
class Clip:
    """Where the sound and the mouth of one utterance are.

    Attributes:
        id: unique in its corpus, and a file name.
        sound: file with the clean sound.
        video: file that shows the talker; None for sound only.
        lips: file with mouth pictures ready made; None where they have to be cut from a video.
        speaker: who talks, see :func:`speaker_of`.
    """

    id: str
    sound: Path
    video: Path | None
    lips: Path | None
    speaker: str


def find_clips(kind: str, source: Path) -> list[Clip]:
    """List the clips of a corpus in a folder and all below it, sorted by id.

    The kind is ``grid`` (videos with their sound track), ``ntcd-timit`` (``audio/*_s.wav`` beside ``lips/*.mat``) or
    ``folder`` (any sound and video files; a sound and a video of one name belong together).

    Raises:
        UserError: the folder is missing or holds nothing of that kind.
    """
    if not source.is_dir():
        raise UserError(f"{source} is not a folder: name the folder that holds the recordings.")
    finder, wanted = _KINDS[kind]
    files = sorted(p for p in source.rglob("*") if p.is_file() and not p.name.startswith("."))
    clips = finder(source, files)
    if not clips:
        raise UserError(f"{source} holds no {wanted}: name another folder or another kind of corpus.")
    return sorted(_unique(clips), key=lambda clip: clip.id)


def _grid(source: Path, files: list[Path]) -> list[Clip]:
    return [_clip(source, path, path) for path in files if path.suffix.lower() in VIDEO_SUFFIXES]


def _ntcd_timit(source: Path, files: list[Path]) -> list[Clip]:
    clips = []
    for path in files:
        # `_s` is the clean speech; `_n` and `_x` are noise and mixture
        if path.parent.name == "audio" and path.name.endswith("_s.wav"):
            name = path.name.removesuffix("_s.wav")
            clip = _clip(source, path.parent.parent / name, None)
            clips.append(replace(clip, sound=path, lips=path.parent.parent / "lips" / f"{name}.mat"))
    return clips


def _folder(source: Path, files: list[Path]) -> list[Clip]:
    sounds = [path for path in files if path.suffix.lower() in SOUND_SUFFIXES]
    videos = {p.with_suffix(""): p for p in files if p.suffix.lower() in VIDEO_SUFFIXES}
    clips = [_clip(source, path, videos.pop(path.with_suffix(""), None)) for path in sounds]
    return clips + [_clip(source, path, path) for path in videos.values()]


def _clip(source: Path, sound: Path, video: Path | None) -> Clip:
    # a file name that says where below the source the recording is
    name = "_".join(sound.relative_to(source).with_suffix("").parts)
    return Clip(name, sound, video, None, speaker_of(sound))


_KINDS: dict[str, tuple[Callable[[Path, list[Path]], list[Clip]], str]] = {
    "grid": (_grid, "video files"),
    "ntcd-timit": (_ntcd_timit, "audio/*_s.wav"),
    "folder": (_folder, "sound or video files"),
}

KINDS = tuple(_KINDS)
"""Names of the kinds of corpora."""


def speaker_of(path: Path) -> str:
    """Who talks: as the corpus says it, else the nearest folder named neither after a split nor after what it holds.

    LibriSpeech has a talker's chapters in folders of their own and says in each file's name whose it is; VoxCeleb,
    VCTK, GRID and speechocean762 have numbers for their talkers, and may have folders below.

    Example:
        >>> speaker_of(Path("/LibriSpeech/dev-clean/84/121123/84-121123-0001.flac"))
        '84'
    """
    names = [parent.name for parent in path.absolute().parents]
    said = re.fullmatch(r"(\d+)-(\d+)-\d+", path.stem)
    if said and names[:2] == [said[2], said[1]]:
        return said[1]
    if numbered := [name for name in names[:_ABOVE] if _TALKER.fullmatch(name)]:
        return numbered[0]
    return next((name for name in names if name not in _SPLITS_AND_CONTENTS), "")


def _unique(clips: list[Clip]) -> list[Clip]:
    """Add the suffix to ids of recordings that differ by nothing else; a number where even that agrees."""
    count = Counter(clip.id for clip in clips)
    clips = [replace(c, id=c.id + c.sound.suffix.replace(".", "_")) if count[c.id] > 1 else c for c in clips]
    taken: Counter[str] = Counter()
    for number, clip in enumerate(clips):
        taken[clip.id] += 1
        if taken[clip.id] > 1:
            clips[number] = replace(clip, id=f"{clip.id}-{taken[clip.id]}")
    return clips
