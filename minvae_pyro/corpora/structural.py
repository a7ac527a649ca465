"""Base classes that need not be derived from: whatever has their methods, with room for their arguments, will do."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Iterable
from typing import Any


def lacking(base: type, methods: Iterable[str], found: Any) -> str:
    """What a class, or a function, lacks to have these methods of another class; "" when it lacks nothing."""
    for name in methods:
        asked = list(inspect.signature(getattr(base, name)).parameters)[1:]
        if inspect.isclass(found):
            own = next((vars(one)[name] for one in found.__mro__ if name in vars(one)), None)
            given = ["self", *asked]
        else:
            own, given = (found if name == "__call__" else None), asked
        if not callable(own):
            return f"it has no method {name}({', '.join(asked)})"
        try:
            inspect.signature(own).bind(*given)
        except TypeError:
            return f"its {name} does not take ({', '.join(asked)})"
        except ValueError:
            continue  # one written in C has no signature
    return ""


class Structural(ABC):  # noqa: B024  its methods are those of its subclasses
    """A base class by what it can do, as those of :mod:`collections.abc`; no annotation is asked for."""

    @classmethod
    def lacks(cls, found: Any) -> str:
        """What a class, or a function, lacks to be one of these; "" when it lacks nothing."""
        return lacking(cls, sorted(cls.__abstractmethods__), found)

    @classmethod
    def __subclasshook__(cls, found: type) -> Any:
        # a subclass that leaves nothing open is a class like any other, and calling a class makes its instances
        asked = cls.__abstractmethods__ and not issubclass(found, type)
        return bool(asked and not cls.lacks(found)) or NotImplemented
