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
            path = self._path(node["reftarget"].split("#")[0])
            if path is not None:
                self._turn(node, path)

    def _path(self, target: str) -> Path | None:
        """Where in the repository a link leads, seen from its page, or from the top as in what a page includes."""
        if Path(target).is_absolute():
            target = f"{target}.md"  # MyST leaves out the suffix of what it takes for a page
        for folder in (self._folder, REPOSITORY):
            # no links are followed: parts of the repository may stand elsewhere
            path = Path(os.path.normpath(folder / target))
            if target and path.exists() and path.is_relative_to(REPOSITORY):
                return path.relative_to(REPOSITORY)
        return None

    @property
    def _folder(self) -> Path:
        return (Path(self.env.srcdir) / self.env.docname).parent

    def _turn(self, node: nodes.Element, path: Path) -> None:
        module, words = module_of(path), nodes.inline("", "", *node.children[0].children, classes=["xref"])
        page = _page_of(path)
        if module:
            role = {"refdomain": "py", "reftype": "mod", "reftarget": module}
        elif page:
            role = {"refdomain": "std", "reftype": "doc", "reftarget": page}
        elif (REPOSITORY / path).is_dir():
            node.replace_self(nodes.literal("", f"{path.as_posix()}/"))
            return
        else:
            target = os.path.relpath(REPOSITORY / path, self._folder)
            node.replace_self(addnodes.download_reference("", "", words, reftarget=target, refdoc=self.env.docname))
            return
        node.replace_self(
            addnodes.pending_xref("", words, refexplicit=True, refwarn=True, refdoc=self.env.docname, **role)
        )


def _page_of(path: Path) -> str | None:
    """The page on which a file or folder of the repository is shown, if it is no page itself."""
    if path.parts[:1] == ("examples",):
        return f"/lessons/{path.stem}" if path.suffix == ".py" else "/lessons/index"
    return f"/{path.stem.lower()}" if path.suffix == ".md" and len(path.parts) == 1 else None


def _is_link(node: nodes.Element) -> bool:
    if isinstance(node, addnodes.download_reference):
        return True
    if not isinstance(node, addnodes.pending_xref) or node.get("reftype") != "myst":
        return False
    return node["refdomain"] is None or Path(node["reftarget"]).is_absolute()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.add_transform(RepositoryLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
