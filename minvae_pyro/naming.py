"""Parts by name: a short name, an import path, or a description of a class and its arguments."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jsonargparse

from minvae_pyro.errors import UserError
from minvae_pyro.mistakes import explain
from minvae_pyro.parsing import Parser

T = TypeVar("T")

Description = str | Mapping[str, Any]
"""A name, or ``class_path`` and perhaps ``init_args``, as in a configuration file."""


def resolve(name: str, known: Mapping[str, Any], fits: Callable[[Any], bool], what: str) -> Any:
    """Find what a name means: one of those that are known, or an import path.

    Args:
        name: a key of ``known``, or a dotted path to any importable object.
        known: what there is under a short name.
        fits: whether an object can stand in this place.
        what: what it is, for the message.

    Raises:
        UserError: nothing of that name, or something else; the message tells the known names.
    """
    if name in known:
        return known[name]
    module, _, attribute = name.rpartition(".")
    choice = f"Choose {', '.join(known)} or give the import path of another."
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        reason = f" ({error})" if module else ""
        raise UserError(f"there is no {what} '{name}'{reason}. {choice}") from error
    if not fits(found):
        raise UserError(f"'{name}' is no {what}. {choice}")
    return found


def make(base: type[T], described: Description | T, what: str, short: Mapping[str, type[T]] | None = None) -> T:
    """The part that is described, made with its arguments checked against their types.

    Args:
        base: what the part must be.
        described: a name, a description, or the part itself, which is returned as it is.
        what: what it is, for the message.
        short: names besides those of the subclasses of ``base``.

    Raises:
        UserError: no such class, or arguments that it does not take.

    Example:
        >>> from minvae_pyro.models import NMFNoise, NoiseModel
        >>> make(NoiseModel, {"class_path": "NMFNoise", "init_args": {"rank": 8}}, "noise model").rank
        8
        >>> make(NoiseModel, NMFNoise(3), "noise model").rank
        3
    """
    if isinstance(described, base):
        return described
    if isinstance(described, str):
        described = {"class_path": described}
    assert isinstance(described, Mapping)
    known = {**(short or {}), **subclasses(base)}
    found = resolve(described["class_path"], known, lambda one: _is_concrete(one, base), what)
    arguments = dict(described.get("init_args") or {})
    needed = any(one.default is one.empty for one in inspect.signature(found).parameters.values())
    try:
        if not arguments and not needed:
            return found()  # there is nothing to check, and making a parser takes milliseconds
        parser = Parser()
        parser.add_class_arguments(found, "part")
        given = parser.parse_object({"part": arguments})
        made: T = parser.instantiate(given).part
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        names = ", ".join(inspect.signature(found).parameters) or "none"
        raise UserError(
            f"the {what} {found.__name__} cannot be made ({explain(error)}). Its arguments: {names}."
        ) from error
    return made


def name_of(described: Any) -> str:
    """The name of a part: a short name or import path as it was given, or that of its class.

    Example:
        >>> name_of("my_package.MyPrior"), name_of({"class_path": "NMFNoise"}), name_of(3.0)
        ('MyPrior', 'NMFNoise', 'float')
    """
    if isinstance(described, Mapping):
        described = described["class_path"]
    return described.rpartition(".")[2] if isinstance(described, str) else type(described).__name__


def subclasses(base: type[T]) -> dict[str, type[T]]:
    """Concrete subclasses of this package by their name, as far as they are imported."""
    return {
        one.__name__: one
        for one in _below(base)
        if _is_concrete(one, base) and one.__module__.startswith("minvae_pyro.")
    }


def _below(base: type[T]) -> Iterator[type[T]]:
    for one in base.__subclasses__():
        yield one
        yield from _below(one)


def _is_concrete(found: Any, base: type[Any]) -> bool:
    return inspect.isclass(found) and issubclass(found, base) and found is not base and not inspect.isabstract(found)
