"""The reference, written from the packages: a page for each, with all of its public modules, each name once.

The pages ``api/NAME`` are written when a build begins, so that modules may come and go. What a package re-exports in
``__init__`` stands under the name by which it is imported, everything else in its module. References by any other name,
such as that of the module which a re-exported class is written in, find the same place.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import make_refnode

TOP = "minvae_pyro"


@cache
def modules() -> dict[str, list[str]]:
    """Public modules of each package, those of its subpackages left out; outer packages come first."""
    # models/ and guides/ stand beside the package in the repository, where looking into its folder does not find them
    found: dict[str, list[str]] = {TOP: [], f"{TOP}.models": [], f"{TOP}.guides": []}
    for root in tuple(found):
        for one in pkgutil.walk_packages(importlib.import_module(root).__path__, f"{root}."):
            package, _, name = one.name.rpartition(".")
            if one.ispkg:
                found.setdefault(one.name, [])
            elif not name.startswith("_") and one.name not in found[package]:
                found[package].append(one.name)
    return {package: sorted(found[package]) for package in sorted(found)}


def written_in(module: str) -> list[str]:
    """Names of the public classes and functions that are written in a module."""
    found = importlib.import_module(module)
    return [
        name
        for name, part in vars(found).items()
        if not name.startswith("_") and _is_code(part) and part.__module__ == module
    ]


def _is_code(part: Any) -> bool:
    """Whether it is a class or a function, perhaps one that remembers its answers."""
    return inspect.isclass(part) or inspect.isfunction(inspect.unwrap(part) if callable(part) else part)


def _public(package: str) -> dict[str, Any]:
    """What a package gives under its own name: what it lists, or else what it imports from its modules."""
    found = importlib.import_module(package)
    listed = getattr(found, "__all__", None)
    if listed is None:
        inside = f"{package}."
        listed = [name for name, part in vars(found).items() if getattr(part, "__module__", "").startswith(inside)]
    return {name: getattr(found, name) for name in listed if not name.startswith("_")}


@cache
def exported() -> dict[tuple[str, str], str]:
    """The outermost package that re-exports each class and function: ``{(module, name): package}``."""
    homes: dict[tuple[str, str], str] = {}
    for package in modules():
        for name, part in _public(package).items():
            if _is_code(part):
                homes.setdefault((part.__module__, name), package)
    return homes


def documented_name(target: str) -> str | None:
    """The name under which something is documented, from any name it can be imported by."""
    parts = target.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
            for name in parts[cut:]:
                # fields of a data class are no attributes of the class
                field = name in getattr(found, "__annotations__", {})
                owner, found = found, None if field else getattr(found, name)
        except (ImportError, AttributeError):
            continue
        if inspect.isclass(owner):
            writer = next(
                one for one in owner.__mro__ if parts[-1] in (*vars(one), *vars(one).get("__annotations__", ()))
            )
            return f"{documented_name(f'{writer.__module__}.{writer.__qualname__}')}.{parts[-1]}"
        module = getattr(found, "__module__", None) or ".".join(parts[:cut])
        name = getattr(found, "__name__", parts[-1])
        return f"{exported().get((module, name), module)}.{name}"
    return None


def write_pages(app: Sphinx) -> None:
    """Write the page of each package, its subpackages included, and take away those of packages that are gone."""
    pages: dict[str, list[str]] = {}
    for package, inside in modules().items():
        page = f"{TOP if package == TOP else package.split('.')[1]}.rst"
        for part in (package, *inside):
            section = _section(part, "-" if page in pages else "=")
            pages.setdefault(page, []).extend(section)
    folder = Path(app.srcdir) / "api"
    for old in folder.glob("*.rst"):
        if old.name not in pages:
            old.unlink()
    for name, lines in pages.items():
        file, text = folder / name, "\n".join(lines)
        # a page that stays as it is need not be read again
        if not file.exists() or file.read_text() != text:
            file.write_text(text)


def _section(module: str, underline: str) -> list[str]:
    """What is written in a module or re-exported by a package, as autodoc is asked for it."""
    here = [name for (_, name), package in exported().items() if package == module]
    here += [name for name in written_in(module) if (module, name) not in exported()]
    # what a module has imported is not asked for: autodoc stumbles over signatures that it would then leave out
    constants = ModuleAnalyzer.for_module(module).find_attr_docs()
    here += [name for owner, name in constants if not owner and not name.startswith("_")]
    members = [f"   :members: {', '.join(here)}"] if here else []
    return [module, underline * len(module), "", f".. automodule:: {module}", *members, ""]


def type_aliases() -> dict[str, str]:
    """Aliases that are written as text: told by their name, not by what they stand for."""
    return {
        name: f"{module}.{name}"
        for inside in modules().values()
        for module in inside
        for name, kind in vars(importlib.import_module(module)).get("__annotations__", {}).items()
        if kind == "TypeAlias"
    }


def _find(app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, text: nodes.TextElement) -> Any:
    """The place that a reference to another name of the same thing, or to a bare name, means."""
    if node.get("refdomain") != "py":
        return None
    known = env.domains.python_domain.objects
    target = node.get("reftarget", "").removeprefix(".")
    around = [node[key] for key in ("py:module", "py:class") if node.get(key)]
    tries = [
        documented_name(name) or "" for name in (".".join([*around, target]), target) if name.startswith(f"{TOP}.")
    ]
    found = {name for name in tries if name in known} or {name for name in known if name.endswith(f".{target}")}
    # fields of a data class are told in its own description
    found = found or {name.rpartition(".")[0] for name in tries} & known.keys()
    # a re-exported name is known by the one under which it was written too
    places = {(known[name].docname, known[name].node_id) for name in found}
    if len(places) != 1:
        return None
    docname, anchor = places.pop()
    return make_refnode(app.builder, node["refdoc"], docname, anchor, text, target)


class _PlainDescriptions:
    """Keeps Napoleon from the one line on a constant or property: it reads what stands before a colon as the type."""

    def __init__(self) -> None:
        self.written: dict[str, list[str]] = {}

    def before(self, app: Sphinx, what: str, name: str, part: Any, options: Any, lines: list[str]) -> None:
        """Remember the lines."""
        if what in ("data", "attribute", "property"):
            self.written[name] = list(lines)

    def after(self, app: Sphinx, what: str, name: str, part: Any, options: Any, lines: list[str]) -> None:
        """Put them back."""
        lines[:] = self.written.pop(name, lines)


def _signature(app: Sphinx, what: str, name: str, part: Any, options: Any, signature: str, result: str) -> Any:
    """What Sphinx cannot read in a signature: defaults that are made anew, and aliases joined to something else."""
    if signature is None:
        return None
    return re.sub(r"TypeAliasForwardRef\('([^']+)'\)", r"~\1", signature.replace("<factory>", "...")), result


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the pages and the search by other names."""
    app.config.autodoc_type_aliases = type_aliases()
    app.connect("builder-inited", write_pages)
    app.connect("missing-reference", _find)
    app.connect("autodoc-process-signature", _signature)
    plain = _PlainDescriptions()
    app.connect("autodoc-process-docstring", plain.before, priority=100)
    app.connect("autodoc-process-docstring", plain.after, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
