"""What a command says of itself: ``{command-help} enhance`` shows ``minvae enhance --help``."""

from __future__ import annotations

import contextlib
import io
import os
import re
from typing import Any
from unittest import mock

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from minvae_pyro.cli.main import main

WIDTH = "90"
"""Columns, whatever the terminal of the build."""

_TOOK_BACK = re.compile(r"[^\n\b]?\x08")
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z^-~])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def as_printed(text: str) -> str:
    """What a terminal shows of a text: what was struck out by backspaces or painted by escapes, without these.

    Args:
        text: as a program writes it.

    Returns:
        str: without control characters but tabulators and ends of lines.
    """
    text = _ESCAPE.sub("", text)
    while "\b" in text:
        text = _TOOK_BACK.sub("", text, count=1)
    return _CONTROL.sub("", text)


class CommandHelp(SphinxDirective):
    """Shows the help of a command, as it is when the pages are built."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Ask the command."""
        self.env.note_reread()  # the page stays as it is when the command changes
        said = io.StringIO()
        with (
            mock.patch.dict(os.environ, {"COLUMNS": WIDTH}),
            contextlib.redirect_stdout(said),
            contextlib.suppress(SystemExit),
        ):
            main([self.arguments[0], "--help"])
        text = f"$ minvae {self.arguments[0]} --help\n{as_printed(said.getvalue()).rstrip()}"
        return [nodes.literal_block(text, text, language="text")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
