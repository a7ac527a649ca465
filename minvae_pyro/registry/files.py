"""Files that ship with the package: their names and the comments at their top."""

from __future__ import annotations

import itertools
from importlib import resources
from pathlib import Path


def first_comment(text: str) -> str:
    """The comment at the top of a YAML file."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)


def shipped(package: str, folder: str) -> dict[str, Path]:
    """The YAML files that ship in a folder of a package, by their names without the suffix."""
    files = Path(str(resources.files(package) / folder)).glob("*.yaml")
    return {file.stem: file for file in sorted(files, key=lambda file: file.stem)}
