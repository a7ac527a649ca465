"""Equations as MathML, which browsers draw themselves: no script, no font and no picture is needed."""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

_LOGGER = logging.getLogger(__name__)

_SPELLINGS = (
    (r"\\([bB]igg?)(?![a-zA-Z])", r"\\\1l"),
    (r"\\dots(?![a-zA-Z])", r"\\ldots"),
    (r"\\iff(?![a-zA-Z])", r"\\Leftrightarrow"),
    # an index would come below a letter with an accent, as the limits of a sum do
    (r"(\\(?:hat|tilde|bar|widehat|widetilde|overline|vec|dot)(?:\{[^{}]*\}| ?[a-zA-Z]))_", r"\1{}_"),
    (r"\\(begin|end)\{(align\*?|split)\}", r"\\\1{aligned}"),
)
"""How the converter of docutils wants what is usually written."""


def _mathml(node: nodes.Element, block: bool) -> str:
    """MathML of a node, or its TeX, with a warning, where that has a command which is not understood."""
    text = node.astext()
    for usual, known in _SPELLINGS:
        text = re.sub(usual, known, text)
    try:
        return latex2mathml.tex2mathml(text, as_block=block)
    except MathError as error:
        _LOGGER.warning("cannot draw the equation %s: %s", node.astext(), error, location=node)
        return f"<code>{html.escape(node.astext())}</code>"


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_mathml(node, block=False))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    # the anchor is that of the target around it
    translator.body.append('<div class="math">')
    translator.body.append(_mathml(node, block=True))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer under the name ``mathml``, and choose it."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
