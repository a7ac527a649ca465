"""Parts by name: a short name, an import path, or a description of a class and its arguments."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from minvae_pyro.errors import UserError

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
