"""What a command says of itself: ``{command-help} enhance`` shows ``minvae enhance --help``."""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any
from unittest import mock

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from minvae_pyro.cli.main import main

WIDTH = "90"
"""Columns, whatever the terminal of the build."""


class CommandHelp(SphinxDirective):
    """Shows the help of a command, as it is when the pages are built."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Ask the command."""
        said = io.StringIO()
        with (
            mock.patch.dict(os.environ, {"COLUMNS": WIDTH}),
            contextlib.redirect_stdout(said),
            contextlib.suppress(SystemExit),
        ):
            main([self.arguments[0], "--help"])
        text = f"$ minvae {self.arguments[0]} --help\n{said.getvalue().rstrip()}"
        return [nodes.literal_block(text, text, language="text")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
