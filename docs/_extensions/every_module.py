"""The reference of a package: ``.. every-module:: NAME`` documents all of its public modules, each name once.

What a package re-exports in ``__all__`` stands under the name by which it is imported, everything else in its module.
References by any other name, such as that of the module which a re-exported class is written in, find the same place.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from functools import cache
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

TOP = "minvae_pyro"


def modules_of(package: str) -> list[str]:
    """Names of the public modules within a package, subpackages left out; none within a module."""
    inside = pkgutil.iter_modules(getattr(importlib.import_module(package), "__path__", []))
    return [f"{package}.{one.name}" for one in inside if not one.ispkg and not one.name.startswith("_")]


def packages() -> list[str]:
    """The package and its subpackages."""
    inside = pkgutil.iter_modules(importlib.import_module(TOP).__path__)
    # models/ and guides/ stand beside it in the repository, where looking into its folder does not find them
    named = {f"{TOP}.{one.name}" for one in inside if one.ispkg} | {f"{TOP}.models", f"{TOP}.guides"}
    return [TOP, *sorted(named)]


def written_in(module: str) -> list[str]:
    """Names of the public classes and functions that are written in a module."""
    found = importlib.import_module(module)
    return [
        name
        for name, part in vars(found).items()
        if not name.startswith("_")
        and (inspect.isclass(part) or inspect.isfunction(part))
        and part.__module__ == module
    ]


@cache
def exported() -> dict[tuple[str, str], str]:
    """The outermost package that re-exports each class and function: ``{(module, name): package}``."""
    homes: dict[tuple[str, str], str] = {}
    for package in packages():
        found = importlib.import_module(package)
        for name in getattr(found, "__all__", []):
            part = getattr(found, name)
            if inspect.isclass(part) or inspect.isfunction(part):
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


class EveryModule(SphinxDirective):
    """``.. every-module:: NAME...``: packages, each with its modules, or single modules."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Write the directives of autodoc, and read them."""
        lines: list[str] = []
        for name in self.arguments[0].split():
            for module in [name, *modules_of(name)] if name != TOP else [name]:
                lines += self._section(module)
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)

    def _section(self, module: str) -> list[str]:
        here = [name for (_, name), package in exported().items() if package == module]
        here += [name for name in written_in(module) if (module, name) not in exported()]
        # what a module has imported is not asked for: autodoc stumbles over signatures that it would then leave out
        constants = ModuleAnalyzer.for_module(module).find_attr_docs()
        here += [name for owner, name in constants if not owner and not name.startswith("_")]
        members = [f"   :members: {', '.join(here)}"] if here else []
        return [module, "-" * len(module), "", f".. automodule:: {module}", *members, ""]


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
    """Register the directive and the search by other names."""
    app.add_directive("every-module", EveryModule)
    app.connect("missing-reference", _find)
    app.connect("autodoc-process-signature", _signature)
    plain = _PlainDescriptions()
    app.connect("autodoc-process-docstring", plain.before, priority=100)
    app.connect("autodoc-process-docstring", plain.after, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
