"""What is typed for classes and their arguments, ``--KEY CLASS --KEY.ARGUMENT VALUE``, as nested descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml


def descriptions(arguments: Sequence[str], keys: Iterable[str]) -> dict[str, Any]:
    """Names and descriptions (``class_path``, ``init_args``) by key, those of ``--config FILE`` among them.

    Args:
        arguments: of a command line; what comes later wins, and another class drops the arguments of the one before.
        keys: dotted, those that classes are given for.

    Returns:
        dict: the keys that are given; arguments without a class are ``{"init_args": ...}``.

    Example:
        >>> typed = ["--noise", "NMFNoise", "--noise.rank=8", "--seed", "3"]
        >>> descriptions(typed, ["noise", "guide"])
        {'noise': {'class_path': 'NMFNoise', 'init_args': {'rank': '8'}}}
    """
    found: dict[str, Any] = {}
    for option, value in _options(arguments):
        if option == "config":
            found.update(_in_file(value, keys))
        for key in keys:
            if f"{option}.".startswith(f"{key}."):
                found[key] = _put(found.get(key), option[len(key) + 1 :].split("."), value)
    return found


def loaded(value: str) -> Any:
    """What is typed for a class: a name as it is, a description or a list in YAML as what it says."""
    try:
        return yaml.safe_load(value) if value.startswith(("{", "[")) else value
    except yaml.YAMLError:
        return value  # no name of anything: whoever looks it up says so


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        if argument.startswith("--"):
            option, sign, value = argument[2:].partition("=")
            yield option, value if sign else following


def _in_file(path: str, keys: Iterable[str]) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}  # the parser says what is wrong
    found = {}
    for key in keys:
        value = settings
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            found[key] = value
    return found


def _put(described: Any, path: list[str], value: str) -> Any:
    path = [part for part in path if part not in ("", "init_args")]
    if not path or path == ["help"]:
        return loaded(value)
    node: dict[str, Any] = {"class_path": described} if isinstance(described, str) else {}
    node |= described if isinstance(described, Mapping) else {}
    if path == ["class_path"]:
        return {**node, "class_path": value}
    first, *rest = path
    arguments = {**(node.get("init_args") or {})}
    arguments[first] = _put(arguments.get(first), rest, value)
    return {**node, "init_args": arguments}
