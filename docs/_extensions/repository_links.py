"""Links of a page to files of the repository: on the built pages they lead to what is documented of these files.

Pages are read in the repository too, where ``[models/](../models)`` is a folder. Here a module or package leads to its
place in the reference, a lesson to its page, and any other file is offered for download.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = {"minvae_pyro": "minvae_pyro", "models": "minvae_pyro.models", "guides": "minvae_pyro.guides"}


def module_of(path: Path) -> str | None:
    """Dotted name under which a file or folder of the repository installs, if it is code.

    Args:
        path: relative to the repository.
    """
    if not path.parts or path.parts[0] not in PACKAGES:
        return None
    whole = REPOSITORY / path
    if not (path.suffix == ".py" or (whole / "__init__.py").is_file()):
        return None
    return ".".join([PACKAGES[path.parts[0]], *path.with_suffix("").parts[1:]]).removesuffix(".__init__")


class RepositoryLinks(SphinxTransform):
    """Turn links to files outside of the documentation."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        """Change the document in place."""
        for node in list(self.document.findall(lambda one: isinstance(one, nodes.Element) and _is_link(one))):
            target = node["reftarget"].split("#")[0]
            folder = (Path(self.env.srcdir) / self.env.docname).parent
            self._turn(node, _within(folder / target))

    def _turn(self, node: nodes.Element, path: Path | None) -> None:
        if path is None:
            return
        module = module_of(path)
        if module:
            role = {"refdomain": "py", "reftype": "mod", "reftarget": module, "refwarn": True}
        elif path.parts[:1] == ("examples",):
            lesson = f"/lessons/{path.stem}" if path.suffix == ".py" else "/lessons/index"
            role = {"refdomain": "std", "reftype": "doc", "reftarget": lesson, "refwarn": True}
        else:
            if (REPOSITORY / path).is_dir():
                node.replace_self(nodes.literal("", path.as_posix() + "/"))
            return
        words = nodes.inline("", "", *node.children[0].children, classes=["xref"])
        node.replace_self(addnodes.pending_xref("", words, refexplicit=True, refdoc=self.env.docname, **role))


def _is_link(node: nodes.Element) -> bool:
    if isinstance(node, addnodes.download_reference):
        return True
    return isinstance(node, addnodes.pending_xref) and node.get("reftype") == "myst" and node["refdomain"] is None


def _within(path: Path) -> Path | None:
    """A path relative to the repository, if it leads to something there."""
    try:
        # no links are followed: parts of the repository may stand elsewhere
        return Path(os.path.normpath(path)).relative_to(REPOSITORY)
    except ValueError:
        return None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.add_transform(RepositoryLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
