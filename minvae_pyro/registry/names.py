"""What can be named: the concrete subclasses of the base class that a place asks for, and classes by import path."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from minvae_pyro.errors import UserError

T = TypeVar("T")

Description = str | Mapping[str, Any]
"""A name, or ``class_path`` and perhaps ``init_args``, as in a configuration file."""


def subclasses(base: type[T]) -> dict[str, type[T]]:
    """Classes of this package by their name that can stand where ``base`` is asked for, as far as they are imported.

    A class can if it leaves nothing to subclasses (:mod:`abc`) and can be imported under a public name. Those of which
    a program alone can make an instance, from tensors say, are found as well: see :func:`offered`.
    """
    return {
        one.__name__: one
        for one in with_those_below(base)
        if is_of_package(one) and not one.__name__.startswith("_") and not unfit(one, base) and _has_a_place(one)
    }


def offered(base: type[T]) -> dict[str, type[T]]:
    """Those of :func:`subclasses` that can be made from their name alone; a guide is given its prior."""
    return {name: one for name, one in sorted(subclasses(base).items()) if not needed(one)}


def parameters(found: type) -> dict[str, inspect.Parameter]:
    """Arguments of the constructor by name, those that ``**options`` hands on to a base class among them.

    Their annotations are types; those that cannot be found, such as one imported for type checkers alone, are left out.
    """
    own: dict[str, inspect.Parameter] = {}
    for init in (vars(one)["__init__"] for one in found.__mro__[:-1] if "__init__" in vars(one)):
        try:
            signature = list(inspect.signature(init, eval_str=True).parameters.values())
        except (NameError, TypeError):
            untyped = inspect.signature(init).parameters.values()
            signature = [parameter.replace(annotation=parameter.empty) for parameter in untyped]
        for parameter in signature[1:]:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                own.setdefault(parameter.name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature):
            break
    return own


def needed(found: type) -> list[str]:
    """Arguments that have no default; the prior is not among them, guides are given it."""
    return [name for name, one in parameters(found).items() if one.default is one.empty and name != "prior"]


def unfit(found: Any, *bases: type) -> str:
    """Why something cannot stand where one of ``bases`` is asked for; "" when it can.

    A base class with a method ``lacks``, such as :class:`minvae_pyro.corpora.corpus.Transform`, need not be derived
    from: it says itself what is missing.
    """
    reasons = [_unfit(found, base) for base in bases]
    return reasons[0] if all(reasons) else ""


def _unfit(found: Any, base: type) -> str:
    lacks: Callable[[Any], str] | None = getattr(base, "lacks", None)
    if inspect.isclass(found) and issubclass(found, base):
        if not inspect.isabstract(found):
            return ""
        left = ", ".join(sorted(vars(found)["__abstractmethods__"]))
        return f"{found.__name__} is a base class, which leaves {left} open"
    if lacks is not None and callable(found):
        return lacks(found)
    if not inspect.isclass(found):
        return f"it is of type {type(found).__name__}, not a class"
    return f"it does not derive from {base.__name__}"


def resolve(
    name: str,
    known: Mapping[str, Any],
    fits: Callable[[Any], bool | str],
    what: str,
    names: Iterable[str] | None = None,
) -> Any:
    """Find what a name means: one of those that are known, or an import path.

    Args:
        name: a key of ``known``, or a dotted path to any importable object.
        known: what there is under a short name.
        fits: whether an object can stand in this place; a text says why it cannot.
        what: what it is, for the message.
        names: what to advise; all that are known if left out.

    Raises:
        UserError: nothing of that name, something else, or a module that cannot be imported; the message has the
            names to choose from.
    """
    names = known if names is None else names
    found = known[name] if name in known else imported(name, what, names)
    verdict = fits(found)
    if verdict is not True:
        raise UserError(f"'{name}' is no {what}{f': {verdict}' if verdict else ''}. {choice(names)}")
    return found


def find(name: str, bases: Sequence[type[T]], what: str, short: Mapping[str, type[T]] | None = None) -> type[T]:
    """The class of a name: a short one of this package, or the import path of any that derives from what is asked for.

    Args:
        name: the name.
        bases: one of them must be a base of the class.
        what: what it is, for the message.
        short: other short names.

    Raises:
        UserError: as :func:`resolve`.
    """
    ours = {one.__name__: one for base in bases for one in with_those_below(base) if is_of_package(one)}
    named = {name: one for base in bases for name, one in subclasses(base).items()}
    known = {**ours, **named, **(short or {})}
    found: type[T] = resolve(name, known, lambda one: unfit(one, *bases) or True, what, offered_names(bases, short))
    return found


def offered_names(bases: Sequence[type[Any]], short: Mapping[str, Any] | None = None) -> list[str]:
    """Names to choose from: the short ones, and of the others those that have none; none for a base of others."""
    brief = short or {}
    ours = {name: one for base in bases if is_of_package(base) for name, one in offered(base).items()}
    return [*brief, *(name for name, one in ours.items() if one not in brief.values())]


def choice(names: Iterable[str]) -> str:
    """The advice to choose one of these names."""
    listed = ", ".join(names)
    return f"Choose {listed} or give the import path of another." if listed else "Give an import path."


def imported(path: str, what: str, names: Iterable[str]) -> Any:
    """What stands at a dotted path; ``what`` that is, and ``names`` that would have been right, are for the message.

    Raises:
        UserError: there is nothing, or the module raises something when it is imported.
    """
    module, _, name = path.rpartition(".")
    if not module or not all(part.isidentifier() for part in path.split(".")):
        raise UserError(f"there is no {what} '{path}'. {choice(names)}")
    if module.partition(".")[0] not in sys.modules and importlib.util.find_spec(module.partition(".")[0]) is None:
        look_here_too()
    try:
        holder = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and not f"{module}.".startswith(f"{error.name}."):
            raise UserError(
                f"{what} '{path}' cannot be imported: it needs a module {error.name!r} that is missing."
            ) from error
        raise UserError(f"there is no {what} '{path}' ({error}). {choice(names)}") from error
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(
            f"{what} '{path}' cannot be imported: {module} raises {type(error).__name__} "
            f"({error}; {last.filename}, line {last.lineno})."
        ) from error
    try:
        return getattr(holder, name)
    except AttributeError as error:
        raise UserError(f"there is no {what} '{path}' ({error}). {choice(names)}") from error


def look_here_too() -> None:
    """Let packages that are installed nowhere be imported from the current folder.

    Only where somebody names one by its import path: what lies beside a recording is no part of the program.
    """
    with contextlib.suppress(OSError):  # a folder that is gone or closed holds nothing
        if (here := os.getcwd()) not in sys.path:
            sys.path.append(here)


def name_of(described: Any) -> str:
    """The name of a part: a short name or import path as it was given, that of a function, or that of its class.

    Example:
        >>> name_of("my_package.MyPrior"), name_of({"class_path": "NMFNoise"}), name_of(3.0)
        ('MyPrior', 'NMFNoise', 'float')
    """
    if isinstance(described, Mapping):
        described = described["class_path"]
    if isinstance(described, str):
        return described.rpartition(".")[2]
    named = inspect.isclass(described) or inspect.isfunction(described)
    return described.__name__ if named else type(described).__name__


def shortened(described: Any) -> Any:
    """A description whose classes of this package have their short names: a file of it outlives moves of modules.

    Example:
        >>> path = "minvae_pyro.models.min_vae.MinVAE"
        >>> shortened({"class_path": path, "init_args": {"latent_dim": 8}})
        {'class_path': 'MinVAE', 'init_args': {'latent_dim': 8}}
    """
    if isinstance(described, Mapping):
        short = {key: shortened(value) for key, value in described.items()}
        path = short.get("class_path")
        if isinstance(path, str) and path.startswith("minvae_pyro."):
            short["class_path"] = path.rpartition(".")[2]
        return short
    return [shortened(value) for value in described] if isinstance(described, list) else described


def is_of_package(found: type) -> bool:
    """Whether a class is one of this package."""
    return found.__module__.startswith("minvae_pyro.")


def with_those_below(base: type[T]) -> Iterator[type[T]]:
    """A class and all that derive from it, as far as they are imported."""
    yield base
    for one in base.__subclasses__():
        yield from with_those_below(one)


def _has_a_place(found: type) -> bool:
    """Whether a class is what its module has under its name; one within a function is not."""
    return getattr(importlib.import_module(found.__module__), found.__name__, None) is found
