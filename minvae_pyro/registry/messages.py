"""What is wrong where a class is named, in one line, with the names that would have been right."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from minvae_pyro.errors import UserError, shown
from minvae_pyro.registry.command_line import loaded
from minvae_pyro.registry.names import choice, find, needed, offered_names, parameters, unfit


@dataclass(frozen=True)
class Place:
    """Where a class is asked for.

    Attributes:
        key: dotted, as it is typed.
        hint: the type of the argument; classes in it are what may be given.
        required: whether it must be given.
    """

    key: str
    hint: Any
    required: bool = False

    @property
    def bases(self) -> tuple[type, ...]:
        """The classes of which one is asked for, none where none is."""
        return bases(self.hint)

    @property
    def names(self) -> list[str]:
        """What there is to choose from."""
        return offered_names(self.bases)

    def choice(self) -> str:
        """The advice to choose one of them."""
        return choice(self.names)


def bases(hint: Any) -> tuple[type, ...]:
    """The classes in a type hint that have subclasses to choose from, those of this package and of torch."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(base for part in get_args(hint) for base in bases(part))
    return (hint,) if inspect.isclass(hint) and hint.__module__.startswith(("minvae_pyro.", "torch.nn.")) else ()


def check(described: Any, place: Place) -> Any:
    """Refuse what cannot be made where it stands, itself or an argument of it.

    Args:
        described: a name, a description, a class's instance, or a plain value.
        place: where it stands.

    Returns:
        The description, all of its classes with their full import paths.

    Raises:
        UserError: no such class, one of another base or one that leaves its work to others, or arguments that it does
            not have or that are missing.
    """
    if isinstance(described, str):
        described = loaded(described)
    if not place.bases or described is None or isinstance(described, list):
        return described
    if isinstance(described, str):
        described = {"class_path": described}
    if not isinstance(described, Mapping):
        found = described if inspect.isroutine(described) else type(described)
        if reason := unfit(found, *place.bases):
            name = getattr(described, "__name__", described)
            raise UserError(f"'{name}' is no {place.key}: {reason}. {place.choice()}")
        return described
    name, arguments = described.get("class_path", ""), described.get("init_args") or {}
    if set(described) - {"class_path", "init_args"} or not isinstance(name, str) or not isinstance(arguments, Mapping):
        raise UserError(f"{place.key}: a class is described by class_path and init_args, and by nothing else.")
    if not name:
        raise UserError(f"{place.key} has no class that could take {', '.join(map(repr, arguments))}. {place.choice()}")
    return _checked(_class(name, place), arguments, place)


def plain(text: str) -> str:
    """What jsonargparse says, in one line that begins with the key, without what is said of other types it tried."""
    parts = re.split(r'Parser key "([^"]*)"[^:]*:', text)
    lines = [line.strip(" -") for line in parts[-1].splitlines()]
    noise = ("Does not validate", "Subtypes:", "Errors:", "Given value", "Expected a <class 'NoneType'>")
    reason = " ".join(line for line in lines if line and not line.startswith(noise))
    reason = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", reason)
    reason = re.sub(r"Expected an? (?:typing\.)?(.+?)\. Got value: (.+)", r"must be \1, not \2", reason)
    key = ".".join(parts[1::2])
    return (f"{key}: {reason}" if key else reason)[:500]


def _class(name: str, place: Place) -> Any:
    try:
        return find(name, place.bases, place.key)
    except UserError as error:
        if list not in [get_origin(part) for part in get_args(place.hint)]:
            raise
        raise UserError(f"{str(error).removesuffix('.')}; several are a list, '[{name}, ...]'.") from error


def check_arguments(found: type, arguments: Mapping[str, Any], place: Place) -> None:
    """Refuse arguments that a class does not have, or lacks.

    Raises:
        UserError: with those that there are.
    """
    known = parameters(found)
    for name in arguments:
        if name not in known:
            others = ", ".join(name for name in known if name != "prior") or "none"
            raise UserError(f"{place.key}: {found.__name__} has no argument {shown(name)}. Its arguments: {others}.")
    # jsonargparse gives None for what has neither type nor default
    untyped = {name for name, one in known.items() if one.annotation is one.empty}
    given = {name for name, value in arguments.items() if value is not None or name not in untyped}
    if missing := [f"--{place.key}.{name}" for name in needed(found) if name not in given]:
        raise UserError(f"{place.key}: {found.__name__} needs {', '.join(missing)}.")


def _checked(found: Any, arguments: Mapping[str, Any], place: Place) -> Any:
    if not inspect.isclass(found):
        return {"class_path": f"{found.__module__}.{found.__qualname__}"}
    check_arguments(found, arguments, place)
    known = parameters(found)
    checked = {
        name: check(value, Place(f"{place.key}.{name}", known[name].annotation)) for name, value in arguments.items()
    }
    return {"class_path": f"{found.__module__}.{found.__qualname__}", "init_args": checked}
