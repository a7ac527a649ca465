"""Files that ship with the package: their names and the comments at their top."""

from __future__ import annotations

import itertools
from importlib import resources
from pathlib import Path


def shipped(package: str, folder: str, suffix: str = ".yaml") -> dict[str, Path]:
    """The files that ship in a folder of a package, by their names without the suffix."""
    files = Path(str(resources.files(package) / folder)).glob(f"*{suffix}")
    return {file.stem: file for file in sorted(files, key=lambda file: file.stem)}


def first_comment(file: Path) -> str:
    """The comment at the top of a YAML file."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), file.read_text(encoding="utf-8").splitlines())
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)
