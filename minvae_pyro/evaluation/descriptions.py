"""Descriptions in YAML files: read, and checked by jsonargparse against the types of a dataclass."""

from __future__ import annotations

import copy
import functools
import inspect
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonargparse
import yaml

from minvae_pyro.errors import UserError

# What jsonargparse says, in the words of all other messages.
_PLAIN = {
    r'^: Parser key "([^"]+)":': r", \1:",
    r"Problem with given class_path '\S+': ": "",
    r"Option '([^']+)' is not accepted": r"there is no key \1",
    r"the following arguments are required: (.+)": r"key \1 is missing. There are {keys}",
    r"Does not validate .* Subtypes: \[(.+?)\] Errors: .* Given value: (.+)": r"must be one of \1, not \2",
    r"Expected an? (.+?)\. Got value: (.+)": r"must be \1, not \2",
    r"<class '(?:[\w.]*\.)?(\w+)'>": r"\1",
    r"typing\.|collections\.abc\.|\[str, [\w.]*Any\]|, NoneType": "",
    r"Literal\[(.+?)\]": r"\1",
}


def read_yaml(path: str | os.PathLike[str], what: str) -> Any:
    """Read a YAML file; error messages say ``what`` is in it.

    Raises:
        UserError: it cannot be read, or is no YAML.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the {what} {path}: {' '.join(str(error).split())}") from error


def parse(described: Any, where: str, *classes: type, skip: tuple[str, ...] = ()) -> dict[str, Any]:
    """Check a mapping against the annotated arguments of dataclasses, and return what is given, without defaults.

    ``where``, what is described, begins the message of an error. A key that is None is left out; arguments to ``skip``
    are no keys.

    Raises:
        UserError: it is no mapping, a key is unknown or missing, or a value is of another type.

    Example:
        >>> from dataclasses import make_dataclass
        >>> point = make_dataclass("Point", [("x", float), ("y", float, 0.0)])
        >>> parse({"x": 1}, "a point", point)
        {'x': 1.0}
    """
    known = [key for one in classes for key in inspect.signature(one).parameters if key not in skip]
    keys = ", ".join(known)
    if not isinstance(described, Mapping):
        raise UserError(f"{where} must be a mapping with keys of {keys}, not {described!r}.")
    # jsonargparse overlooks one whose value is empty
    if unknown := [str(key) for key in described if key not in known]:
        raise UserError(f"{where}: there is no key {', '.join(unknown)}. There are {keys}.")
    # a copy, for jsonargparse writes into what it reads
    given = copy.deepcopy({key: value for key, value in described.items() if value is not None})
    try:
        return dict(_parser(classes, skip).parse_object(given, defaults=False).as_dict())
    except jsonargparse.ArgumentError as error:
        text = f": {' '.join(str(error).split())}"
        for pattern, plain in _PLAIN.items():
            text = re.sub(pattern, plain, text)
        raise UserError(f"{where}{text.replace('{keys}', keys)}.") from error


@functools.cache
def _parser(classes: tuple[type, ...], skip: tuple[str, ...]) -> jsonargparse.ArgumentParser:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    for one in classes:
        parser.add_class_arguments(one, skip=set(skip))
    return parser
