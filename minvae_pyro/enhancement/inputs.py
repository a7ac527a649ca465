"""What is to be enhanced, and what it becomes: files and folders in, one tree of files out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from minvae_pyro.corpora.sources import SOUND_SUFFIXES, VIDEO_SUFFIXES
from minvae_pyro.errors import UserError
from minvae_pyro.files import FilePath, path_of
from minvae_pyro.media.film import FILMS
from minvae_pyro.video.lips import LIPS_SUFFIXES

FORMATS = ("wav", "flac", "video", *(suffix[1:] for suffix in FILMS if suffix != ".m4v"))
"""What may be written of each input; ``video`` is a film as the input is, .mkv where such a film cannot be written."""

_Found = tuple[Path, Path]  # the file itself, and its place in the tree


@dataclass(frozen=True)
class Item:
    """One recording.

    Attributes:
        source: the file with the sound.
        output: what is written.
        video: where the mouth is seen; None for ``source``.
    """

    source: Path
    output: Path
    video: Path | None = None

    @property
    def picture(self) -> Path:
        """The file whose pictures go into a film."""
        return self.video or self.source


def find_items(
    inputs: Sequence[FilePath], output: FilePath, *, form: str = "wav", video: FilePath | None = None
) -> list[Item]:
    """List what is to be enhanced, sorted by what it becomes.

    A file becomes a file in ``output``. Of one folder the tree below it is made in ``output``; of several inputs each
    folder keeps its name there. Hidden files are passed over, and what lies in ``output`` itself.

    Args:
        inputs: files of any name, and folders, whose sound and video files are found by their suffixes.
        output: the folder for what is written.
        form: one of :data:`FORMATS`; a recording without pictures becomes a WAV file where a film is asked for.
        video: a file that shows the mouth of each input; or a folder with a video or lips for each sound file, of the
            same name in the same tree.

    Raises:
        UserError: an input is missing, there is nothing to enhance, two inputs would become one file, or an output
            would replace an input.
    """
    if form not in FORMATS:
        raise UserError(f"there is no format {form}: choose {', '.join(FORMATS)}.")
    folder = path_of(output)
    shown = None if video is None else path_of(video)
    if shown is not None and not shown.exists():
        raise UserError(f"there is no {shown}: give a video, lips, or a folder of them.")
    paths = [path_of(one) for one in inputs]
    places = [one for given in paths for one in _below(given, folder, len(paths) == 1)]
    found = {(path.resolve(), place): path for path, place in reversed(places)}  # once, however often it is named
    if not found:
        raise UserError(f"there is no sound or video file in {', '.join(map(str, paths)) or 'nothing'}: name others.")
    faces = _faces(found, shown)
    taken = {face.resolve() for face in faces.values()} if shown is not None and shown.is_dir() else set()
    items = []
    for (resolved, place), path in found.items():
        if resolved in taken:
            continue
        face = faces.get((resolved, place))
        pictured = path.suffix.lower() in VIDEO_SUFFIXES or (
            face is not None and face.suffix.lower() not in LIPS_SUFFIXES
        )
        suffix = _suffix((face or path).suffix.lower(), form, pictured)
        items.append(Item(path, folder / place.with_name(place.stem + suffix), face))
    _check(items)
    return sorted(items, key=lambda item: item.output)


def _below(given: Path, output: Path, alone: bool) -> Iterator[tuple[Path, Path]]:
    """Files, each with its place in the tree."""
    if not given.exists():
        raise UserError(f"there is no file or folder {given}: give sound or video files, or folders of them.")
    if not given.is_dir():
        yield given, Path(given.name)
        return
    if output.exists() and output.samefile(given):
        raise UserError(f"{output} is the folder of the recordings itself: choose another --output.")
    known = SOUND_SUFFIXES | VIDEO_SUFFIXES
    root = Path() if alone else Path(given.resolve().name)
    seen = set()
    for folder, folders, files in os.walk(given, followlinks=True):
        here = Path(folder)
        place = os.stat(here)
        # a link may lead back to where it is
        again = (place.st_dev, place.st_ino) in seen or (output.exists() and output.samefile(here))
        seen.add((place.st_dev, place.st_ino))
        folders[:] = [] if again else sorted(one for one in folders if not one.startswith("."))
        for name in () if again else sorted(files):
            path = here / name
            if not name.startswith(".") and path.suffix.lower() in known and path.is_file():
                yield path, root / path.relative_to(given)


def _faces(found: dict[_Found, Path], shown: Path | None) -> dict[_Found, Path]:
    """The file that shows the mouth of a recording, where it is another one."""
    if shown is None or not shown.is_dir():
        return {} if shown is None else dict.fromkeys(found, shown)
    faces = {}
    ends = sorted((*VIDEO_SUFFIXES, *LIPS_SUFFIXES))
    ends += [end.upper() for end in ends]
    for key, path in found.items():
        place = key[1]
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            # of several inputs each folder has its name in the tree, which videos need not have
            for tree in (place, Path(*place.parts[1:])) if len(place.parts) > 1 else (place,):
                names = (shown / tree.with_name(tree.stem + end) for end in ends)
                face = next((name for name in names if name.is_file()), None)
                if face is not None:
                    faces[key] = face
                    break
    return faces


def _suffix(given: str, form: str, pictured: bool) -> str:
    if form in ("wav", "flac"):
        return f".{form}"
    if not pictured:
        return ".wav"
    if form == "video":
        return given if given in FILMS else ".mkv"
    return f".{form}"


def _check(items: Sequence[Item]) -> None:
    sources = {item.source.resolve() for item in items} | {item.picture.resolve() for item in items}
    becomes: dict[Path, Path] = {}
    for item in items:
        other = becomes.setdefault(item.output, item.source)
        if other != item.source:
            raise UserError(
                f"{other} and {item.source} would both become {item.output}: rename one, or enhance them into "
                "different folders."
            )
        if item.output.exists() and item.output.resolve() in sources:
            raise UserError(f"{item.output} is one of the recordings: choose another --output.")
