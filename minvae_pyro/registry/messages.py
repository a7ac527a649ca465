"""What is wrong where a class is named, in one line, with the names that would have been right."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where a mistake was made.

    Attributes:
        command: whose keys are meant, such as ``minvae train``.
        key: dotted, "" where it is of no single key.
        bases: classes of which one was asked for; none where it is not known.
    """

    command: str
    key: str
    bases: tuple[type, ...] = ()

    def choice(self, fits: Callable[[Any], bool] | None = None) -> str:
        """The advice to choose one of those that there are.

        Args:
            fits: leaves some out; those that are no subclass of ``bases`` when omitted.
        """
        # found when asked for: the catalogue reads configurations, which explain mistakes
        catalogue = importlib.import_module("minvae_pyro.catalogue")
        names = catalogue.choices(self.command, self.key, fits or self._fits)
        return f"choose {', '.join(names)}, or give the import path of another" if names else "give an import path"

    def _fits(self, target: Any) -> bool:
        return not self.bases or not inspect.isclass(target) or issubclass(target, self.bases)


def explain(error: Exception, command: str = "minvae train") -> str:
    """What jsonargparse says of a mistake, shortened, with the choice that there is.

    Args:
        error: raised by a parser.
        command: whose keys it speaks of.

    Raises:
        Exception: whatever the module raises that a class was to be imported from: a bug is not a wrong name.
    """
    text = re.sub(r"\A--([\w.]+)\.help: ", r'Parser key "\1": ', str(error))
    parts = re.split(r'Parser key "([^"]*)":', text)
    place, reason = Place(command, ".".join(parts[1::2]), _bases(parts[-1])), parts[-1]
    for pattern, say in _SAYINGS.items():
        if found := re.search(pattern, reason, re.MULTILINE):
            return say(place, *found.groups())
    return _plain(place, reason)


def _no_argument(place: Place, path: str, option: str) -> str:
    found = imported(path)
    if option in {"class_path", "init_args"}:
        return f"{place.key}: a class is described by class_path and init_args, and by nothing else"
    if found in place.bases:
        return f"{place.key} has no class that could take {option!r}: {place.choice()}"
    arguments = ", ".join(name for name in inspect.signature(found).parameters if name != "prior") or "none"
    return f"{place.key}: {found.__name__} has no argument {option!r}, its arguments are: {arguments}"


def _arguments_missing(place: Place, path: str, names: str) -> str:
    options = ", ".join(f"--{place.key}.{name}" for name in names.split(", "))
    return f"{place.key}: {imported(path).__name__} needs {options}"


def _keys_missing(place: Place, names: str) -> str:
    # a class first, for what else is missing may depend on it
    keys = sorted(names.split(", "), key=lambda name: ("." in name, name))
    told = [f"--{key} is missing" + ("" if "." in key else f": {Place(place.command, key).choice()}") for key in keys]
    return "; ".join(told)


def _no_name(place: Place, name: str) -> str:
    return f"there is no {place.key} {name!r}: {place.choice()}"


def _no_name_nor_list(place: Place, name: str) -> str:
    return f"{_no_name(place, name)}; several are a list, '[{name}, ...]'"


def _no_import(place: Place, path: str, why: str) -> str:
    missing = re.fullmatch(r"No module named '([^']+)'", why)
    if missing and not f"{path}.".startswith(f"{missing.group(1)}."):
        return f"{place.key}: {path} cannot be imported, for it needs a module {missing.group(1)!r} that is missing"
    return f"there is no {place.key} {path!r} ({why}): {place.choice()}"


def _no_subclass(place: Place, given: str) -> str:
    path = re.search(r"class_path'?[=:] ?'([^']+)'", given)
    return f"{path.group(1) if path else given} is no {place.key}: {place.choice()}"


def _not_importable(place: Place, path: str) -> str:
    importlib.import_module(path.rpartition(".")[0])
    return f"{place.key}: {path} cannot be used"


def _plain(place: Place, reason: str) -> str:
    """The reason in one line, without what is said of the other types that were tried."""
    lines = [line.strip(" -") for line in reason.splitlines()]
    noise = ("Does not validate", "Subtypes:", "Errors:", "Given value", "Expected a <class 'NoneType'>")
    text = " ".join(line for line in lines if line and not line.startswith(noise))
    text = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", text)
    text = re.sub(r"Expected an? (?:typing\.)?(.+?)\. Got value: (.+)", r"must be \1, not \2", text)
    return f"{place.key}: {text}"[:500] if place.key else text[:500]


_SAYINGS: dict[str, Callable[..., str]] = {
    r"class_path '([^']+)':\s+Option '([^']+)' is not accepted": _no_argument,
    r"class_path '([^']+)':\s+the following arguments are required: (.+)": _arguments_missing,
    r"\Athe following arguments are required: (.+)": _keys_missing,
    r"Expected a <class 'list'>\s+- Expected a dot import path string: ?(.*)": _no_name_nor_list,
    r"(?:Expected a dot import path string|Unexpected import path format): ?(.*)": _no_name,
    r"class_path '([^']+)':\s+(No module named .+|module .+ has no attribute .+)": _no_import,
    r"Import path does not (?:correspond|implement)[\s\S]*Given value: (.+)": _no_subclass,
    r'"(\S+)" is not a subclass': _no_subclass,
    r"Expected a path but ([\w.]+\.\w+) either not accessible": _not_importable,
}
"""What is said to what jsonargparse says."""


def imported(path: str) -> Any:
    """The class or function at a dotted path."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _bases(reason: str) -> tuple[type, ...]:
    """The classes that jsonargparse tried."""
    paths = re.findall(r"<class '(\w+\.[\w.]+)'>", "".join(re.findall(r"Subtypes: .+", reason)))
    found = tuple(imported(path) for path in paths)
    return () if any(getattr(base, "_is_protocol", False) for base in found) else found
