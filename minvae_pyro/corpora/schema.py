"""What files say of themselves, checked once, where it comes in: typed dataclasses, whose fields may have ranges."""

from __future__ import annotations

import functools
import math
import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from numbers import Integral, Real
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from minvae_pyro.audio.stft import STFT
from minvae_pyro.errors import UserError, shown

T = TypeVar("T")

DEEPEST = 64
"""Nested mappings and lists that a description may have; the deepest one that ships has a dozen."""


@dataclass(frozen=True)
class Range:
    """The numbers that a field may have, both ends included: ``Annotated[int, Range(1, 8)]``."""

    lowest: float
    highest: float = math.inf

    def __contains__(self, value: Any) -> bool:
        return bool(self.lowest <= value <= self.highest)


_FINITE = Range(-sys.float_info.max, sys.float_info.max)


@dataclass(frozen=True)
class TransformSettings:
    """The numbers of an :class:`minvae_pyro.audio.stft.STFT`."""

    n_fft: int
    hop: Annotated[int, Range(1, 65_536)]
    sample_rate: int


def checked(found: type[T], given: Any, where: str) -> T:
    """The instance of a dataclass that a mapping describes, every field of its type and in its range.

    A field of type float takes whole numbers as well, none takes NaN, and a truth value is no number. Keys that are no
    fields are left out.

    Args:
        found: a dataclass, with fields of type bool, int, float, str, dict, list, or such a type or None.
        given: what was read.
        where: begins the message.

    Raises:
        UserError: it is no mapping, or a field is missing, of another type, or beyond its range.

    Example:
        >>> written = {"n_fft": 1024, "hop": 256, "sample_rate": 16000}
        >>> checked(TransformSettings, written, "x").hop
        256
    """
    if not isinstance(given, Mapping):
        raise UserError(f"{where} must be a mapping, not {shown(given)}.")
    values = {}
    described: Any = found
    for field, hint in _hints(described).items():
        if field.name not in given:
            if field.default is MISSING and field.default_factory is MISSING:
                raise UserError(f"{where} lacks {field.name}.")
            continue
        values[field.name] = value = given[field.name]
        if reason := mismatch(value, hint):
            raise UserError(f"{where}: {field.name} must be {reason}, not {shown(value)}.")
    return found(**values)


@functools.cache
def _hints(found: type) -> dict[Any, Any]:
    hints = get_type_hints(found, include_extras=True)
    return {field: hints[field.name] for field in fields(found)}


def mismatch(value: Any, hint: Any) -> str:
    """What a value would have to be for its type hint; "" if it is."""
    if get_origin(hint) is Annotated:
        hint, limits = get_args(hint)
        if reason := mismatch(value, hint):
            return reason
        if value is None or value in limits:
            return ""
        upper = "" if math.isinf(limits.highest) else f" and at most {limits.highest:,}"
        return f"at least {limits.lowest:,}{upper}"
    if get_origin(hint) in (Union, types.UnionType):
        reasons = [mismatch(value, one) for one in get_args(hint)]
        return " or ".join(reasons) if all(reasons) else ""
    kind = get_origin(hint) or hint
    if kind is types.NoneType:
        return "" if value is None else "null"
    if isinstance(value, bool) and kind in (int, float):
        return _NAMES[kind]
    if kind is float and isinstance(value, Real):
        return "" if value in _FINITE else "a finite number"
    return "" if isinstance(value, Integral if kind is int else kind) else _NAMES[kind]


_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    dict: "a mapping",
    list: "a list",
}


def transform(given: Any, where: str) -> STFT:
    """The STFT that a file describes.

    Raises:
        UserError: a number is missing, of another type, or beyond its range.
    """
    settings = checked(TransformSettings, given, where)
    try:
        return STFT(**vars(settings))
    except ValueError as error:
        raise UserError(f"{where}: {error}.") from error


def too_deep(value: Any) -> bool:
    """Whether mappings and lists are nested more than :data:`DEEPEST` times."""
    level = [value]
    for _ in range(DEEPEST):
        level = [part for one in level for part in _parts(one)]
    return bool(level)


def _parts(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []
