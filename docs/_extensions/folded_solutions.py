"""On the page of a lesson the solution of an exercise is folded away, with what it prints."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_OPEN = '<details class="solution"><summary>Solution</summary>'


def fold(app: Sphinx, document: nodes.document) -> None:
    """Put a fold round each block of code that begins with ``# Solution``, and round its output."""
    for block in list(document.findall(nodes.literal_block)):
        if not block.astext().startswith("# Solution "):
            continue
        parent = block.parent
        start = parent.index(block)
        end = start + 1
        while end < len(parent) and "sphx-glr-script-out" in getattr(parent[end], "attributes", {}).get("classes", ()):
            end += 1
        parent.insert(end, nodes.raw("", "</details>", format="html"))
        parent.insert(start, nodes.raw("", _OPEN, format="html"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what is done to the pages."""
    app.connect("doctree-read", fold)
    return {"parallel_read_safe": True}
