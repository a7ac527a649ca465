"""What all figures share: colours, time axes, and how they are saved."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from minvae_pyro.errors import UserError
from minvae_pyro.files import write_atomic

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, GREY, BLACK = "#E69F00", "#56B4E9", "#999999", "#000000"
"""Colours that colour-blind readers can tell apart (Okabe & Ito, 2008)."""

LINES = (
    {"color": BLUE, "linestyle": "-", "marker": "o"},
    {"color": VERMILLION, "linestyle": "--", "marker": "s"},
    {"color": GREEN, "linestyle": "-.", "marker": "^"},
    {"color": PURPLE, "linestyle": ":", "marker": "D"},
    {"color": ORANGE, "linestyle": "-", "marker": "v"},
    {"color": SKY, "linestyle": "--", "marker": "P"},
    {"color": BLACK, "linestyle": "-.", "marker": "X"},
    {"color": GREY, "linestyle": ":", "marker": "*"},
)
"""Looks of the lines of one axis, told apart by dash and marker in grey print too."""

_SUFFIXES = (".png", ".pdf", ".svg")


def line_style(number: int) -> dict[str, Any]:
    """Look of the n-th line of an axis; from the ninth on colours come again, with other dashes and markers."""
    return LINES[(number + number // len(LINES)) % len(LINES)] | {"color": LINES[number % len(LINES)]["color"]}


def save_figure(figure: Figure, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Save a figure as .png, .pdf or .svg, whole or not at all.

    Raises:
        UserError: Another suffix, an existing file, a folder that is missing or cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise UserError(f"cannot save a figure as {path}: the name must end in one of {', '.join(_SUFFIXES)}")
    return write_atomic(path, drawn(figure, suffix[1:]), overwrite=overwrite)


def drawn(figure: Figure, kind: str, *, dpi: int = 150) -> bytes:
    """A figure as the content of a png (of ``dpi``), pdf or svg: the same bytes whenever it is drawn."""
    drawing = io.BytesIO()
    date = {} if kind == "png" else {"CreationDate" if kind == "pdf" else "Date": None}
    with matplotlib.rc_context({"svg.hashsalt": "minvae"}):
        figure.savefig(drawing, format=kind, dpi=dpi, metadata=date)
    return drawing.getvalue()
