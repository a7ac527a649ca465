"""Papers, which code names by their arXiv numbers: on the pages ``arXiv NNNN.NNNNN`` leads to the references."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

PAPER = re.compile(r"arXiv[\s:](\d{4}\.\d{4,5})")
_LEFT_ALONE = (nodes.reference, nodes.literal, nodes.literal_block, nodes.title, nodes.raw, nodes.comment)

_log = logging.getLogger(__name__)


def link(app: Sphinx, document: nodes.document, name: str) -> None:
    """Turn the numbers on a page into links. One that is not among the references is a warning."""
    citations = app.env.get_domain("cite").citations
    places = {one.entry.fields.get("eprint"): (one.bibliography_key.docname, one.citation_id) for one in citations}
    if name in {docname for docname, _ in places.values()}:
        return
    for text in list(document.findall(nodes.Text)):
        if PAPER.search(text) and not _within(text, _LEFT_ALONE):
            text.parent.replace(text, _linked(app, name, str(text), places))


def _within(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    parent = node.parent
    return parent is not None and (isinstance(parent, kinds) or _within(parent, kinds))


def _linked(app: Sphinx, name: str, text: str, places: dict[str, tuple[str, str]]) -> list[nodes.Node]:
    """A text, its papers linked."""
    parts: list[nodes.Node] = []
    end = 0
    for found in PAPER.finditer(text):
        place = places.get(found[1])
        if place is None:
            _log.warning("arXiv %s is not in references.bib", found[1], location=name)
            continue
        parts.append(nodes.Text(text[end : found.start()]))
        parts.append(make_refnode(app.builder, name, *place, nodes.Text(found[0])))
        end = found.end()
    return [*parts, nodes.Text(text[end:])]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the links."""
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
