"""Files that ship with the package: their names and the comments at their top."""

from __future__ import annotations

import itertools


def first_comment(text: str) -> str:
    """The comment at the top of a YAML file."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)
