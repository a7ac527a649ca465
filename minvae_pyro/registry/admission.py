"""What a file may name: classes of this package, a few of torch, and those of modules that the user trusts.

A checkpoint is data, whoever wrote it. What its description names is looked up among the classes that derive from the
base class of the place where it stands; nothing is imported for it, and nothing else is called. Only a module that the
user names as trusted is imported.
"""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from torch import nn

from minvae_pyro.errors import UserError, shown
from minvae_pyro.registry.messages import Place, check_arguments
from minvae_pyro.registry.names import (
    Description,
    choice,
    imported,
    is_of_package,
    offered_names,
    parameters,
    unfit,
    with_those_below,
)

TORCH: dict[str, type] = {
    f"torch.nn.{one.__name__}": one
    for one in (
        *(nn.ELU, nn.GELU, nn.Hardtanh, nn.Identity, nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU),
        *(nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softsign, nn.Tanh),
    )
}
"""Classes of torch that a file may name where a module is asked for: functions of a number, which read no file."""

Trust = str | Sequence[str]
"""Modules whose classes a file may name: ``"my_package.priors"``, or several. Those below a package are trusted too."""

_DEEPEST = 16  # descriptions within each other
_LARGEST = 2**31  # of whole numbers: nothing is larger that a model is made from


def trusted_modules(trust: Trust) -> tuple[str, ...]:
    """The modules that are trusted, by their names.

    Raises:
        UserError: one is no name of a module.
    """
    names = (trust,) if isinstance(trust, str) else tuple(trust)
    for name in names:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise UserError(f"{shown(name)} is no name of a module: trust one by its import path, such as my_package.")
    return names


def admit(described: Any, place: Place, trust: Trust = (), short: Mapping[str, type] | None = None) -> Any:
    """What a file describes, every class with its full import path; refused where it names anything else.

    Args:
        described: from a file: text, numbers, lists and mappings.
        place: where it stands; the classes in its type hint decide what may be named.
        trust: modules of the user's that may be named and imported.
        short: names besides those of the classes.

    Raises:
        UserError: something is named that may not be, or arguments are wrong; nothing of it was run.
    """
    return _admit(described, place, trusted_modules(trust), short or {}, _DEEPEST)


def admitted_function(name: str, what: str, trust: Trust) -> Any:
    """A function, or a class, of a module that is trusted.

    Raises:
        UserError: its module is not trusted, or it is defined elsewhere.
    """
    modules = trusted_modules(trust)
    module = name.rpartition(".")[0]
    if not _is_trusted(module, modules):
        raise UserError(_foreign(name, what, module))
    found = imported(name, what, ())
    if not callable(found) or not _is_trusted(getattr(found, "__module__", None) or "", modules):
        raise UserError(f"{what}: {shown(name)} is not defined in {module}.")
    return found


@dataclass(frozen=True)
class _Asked:
    """What a type hint asks for: classes, functions, text, mappings; everything where nothing is said."""

    classes: tuple[type, ...]
    function: bool
    text: bool
    mapping: bool

    @classmethod
    def by(cls, hint: Any) -> _Asked:
        atoms = list(_atoms(hint))
        classes = tuple(one for one in atoms if inspect.isclass(one) and one not in _PLAIN)
        function = any(one is Callable or one is type for one in atoms)
        untyped = any(one is Any or one is inspect.Parameter.empty for one in atoms)
        text = untyped or str in atoms or any(isinstance(one, str) for one in atoms)
        return cls(classes, function, text, untyped or any(one in (dict, Mapping) for one in atoms))


_PLAIN = {bool, int, float, str, types.NoneType, list, tuple, dict, Sequence, Mapping, Callable, type, Any}
_PLAIN |= {inspect.Parameter.empty}


def _atoms(hint: Any) -> Iterator[Any]:
    """All that a type hint is put together from; of a literal its values."""
    origin = get_origin(hint)
    if origin is Literal:
        yield from get_args(hint)
    elif origin is not None and inspect.isclass(origin) and issubclass(origin, Callable):  # type: ignore[arg-type]
        yield Callable
    elif origin is type:
        yield type
    elif origin in (Union, types.UnionType):
        for one in get_args(hint):
            yield from _atoms(one)
    elif origin is not None:
        yield origin
        for one in get_args(hint):
            yield from _atoms(one)
    else:
        yield hint


def _admit(value: Any, place: Place, trust: tuple[str, ...], short: Mapping[str, type], depth: int) -> Any:
    if place.hint == Description:
        _check_short(value, place, trust)
    asked = _Asked.by(place.hint)
    if isinstance(value, list):
        return [_admit(one, place, trust, short, depth) for one in value]
    if isinstance(value, Mapping):
        if "class_path" in value or (asked.classes and not asked.mapping):
            return _described(value, place, asked, trust, short, depth)
        if not asked.mapping:
            raise UserError(f"{place.key} cannot be a mapping.")
        return {key: _admit(one, place, trust, short, depth) for key, one in value.items()}
    if isinstance(value, str):
        return _named(value, place, asked, trust, short)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{place.key} must be a finite number, not {value}.")
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise UserError(f"{place.key} must be at most {_LARGEST:,}, not {shown(value)}.")
    if value is not None and not isinstance(value, int | float):
        raise UserError(f"{place.key} cannot be {shown(value)}: a file holds text, numbers, lists and mappings.")
    return value


def _check_short(value: Any, place: Place, trust: tuple[str, ...]) -> None:
    """Refuse an import path where a class makes a part of its own from its description, unless it is trusted."""
    name = value.get("class_path") if isinstance(value, Mapping) else value
    module = name.rpartition(".")[0] if isinstance(name, str) else ""
    if module and not _is_trusted(module, trust):
        raise UserError(_foreign(str(name), place.key, module))


def _named(name: str, place: Place, asked: _Asked, trust: tuple[str, ...], short: Mapping[str, type]) -> Any:
    if asked.function and not (asked.text and "." not in name):
        found = admitted_function(name, place.key, trust)
        return f"{found.__module__}.{found.__qualname__}"
    if asked.classes and not (asked.text and "." not in name):
        found = find_admitted(name, asked.classes, place.key, trust, short)
        check_arguments(found, {}, place)
        return {"class_path": f"{found.__module__}.{found.__qualname__}"}
    if not asked.text:
        raise UserError(f"{place.key} cannot be the text {shown(name)}.")
    return name


def _described(
    value: Mapping[str, Any], place: Place, asked: _Asked, trust: tuple[str, ...], short: Mapping[str, type], depth: int
) -> Any:
    name, arguments = value.get("class_path"), value.get("init_args")
    arguments = {} if arguments is None else arguments
    if set(value) - {"class_path", "init_args"} or not isinstance(name, str) or not isinstance(arguments, Mapping):
        raise UserError(f"{place.key}: a class is described by class_path and init_args, and by nothing else.")
    if depth == 0:
        raise UserError(f"{place.key}: descriptions lie within each other more than {_DEEPEST} times.")
    if place.hint == Description:
        return {"class_path": name, "init_args": {key: _plain(one, place) for key, one in arguments.items()}}
    if not asked.classes:
        raise UserError(f"{place.key} is no place for a class, and {shown(name)} is not run.")
    found = find_admitted(name, asked.classes, place.key, trust, short)
    check_arguments(found, arguments, place)
    known = parameters(found)
    made = {
        key: _admit(one, Place(f"{place.key}.{key}", known[key].annotation), trust, {}, depth - 1)
        for key, one in arguments.items()
    }
    return {"class_path": f"{found.__module__}.{found.__qualname__}", "init_args": made}


def _plain(value: Any, place: Place) -> Any:
    if value is not None and not isinstance(value, str | int | float):
        raise UserError(f"{place.key} takes text and numbers, not {shown(value)}.")
    return value


def find_admitted(
    name: str, bases: Sequence[type], what: str, trust: Trust = (), short: Mapping[str, type] | None = None
) -> type:
    """The class that a file names, by short name or import path, if it may stand where one of ``bases`` is asked for.

    Raises:
        UserError: there is none, or it is of a module that is not trusted; the message says how to trust it.
    """
    known = {**_of_torch(bases), **_of_package(bases), **(short or {})}
    module = name.rpartition(".")[0]
    modules = trusted_modules(trust)
    found: Any
    if name in known:
        found = known[name]
    elif _is_trusted(module, modules):
        found = admitted_function(name, what, modules)
    elif not module or module.split(".")[0] == "minvae_pyro":
        raise UserError(f"there is no {what} {shown(name)}. {choice(offered_names(bases, short))}")
    else:
        raise UserError(_foreign(name, what, module))
    if not inspect.isclass(found) or (reason := unfit(found, *bases)):
        reason = reason if inspect.isclass(found) else "it is no class"
        raise UserError(f"{shown(name)} is no {what}: {reason}. {choice(offered_names(bases, short))}")
    return found


def _of_package(bases: Sequence[type]) -> dict[str, type]:
    """Classes of this package below any of its bases, by all the names that one has."""
    found: dict[str, type] = {}
    for base in filter(is_of_package, bases):
        below: Iterator[type] = with_those_below(base)
        for one in below:
            if is_of_package(one):
                parts = one.__module__.split(".")
                # a package shows what is defined in its modules
                found |= {".".join([*parts[:length], one.__name__]): one for length in range(1, len(parts) + 1)}
                found.setdefault(one.__name__, one)
    return found


def _of_torch(bases: Sequence[type]) -> dict[str, type]:
    fitting = {name: one for name, one in TORCH.items() if any(one is base or issubclass(one, base) for base in bases)}
    return {**fitting, **{f"{one.__module__}.{one.__qualname__}": one for one in fitting.values()}}


def _is_trusted(module: str, trust: Sequence[str]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in trust)


def _foreign(name: str, what: str, module: str) -> str:
    return (
        f"{what}: the file names {shown(name)}, which is no part of minvae_pyro, and nothing of it was run. If you "
        f"trust whoever wrote it, allow its module: --trust {ascii(module)[1:-1][:80]} (trust=[...] in Python)."
    )


def admit_parts(
    given: Mapping[str, Any],
    parts: Mapping[str, tuple[type, Mapping[str, type]]],
    trust: Trust,
) -> dict[str, Description]:
    """The parts that a file describes by key, each admitted below its base class.

    Args:
        given: may lack any of the parts.
        parts: for each key the base class, and short names besides those of the classes.
        trust: as of :func:`admit`.

    Raises:
        UserError: as :func:`admit`.
    """
    return {
        key: admit(given[key], Place(key, base), trust, short)
        for key, (base, short) in parts.items()
        if given.get(key) is not None
    }
