"""Figures and sound inline where a lesson runs as a notebook; files, and silence, where it runs as a script."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from minvae_pyro.plots.style import save_figure

FOLDER = Path("examples-output")
"""Where figures are saved, below the folder that a lesson runs in."""


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    # a script, and a program that has merely imported IPython, have no shell
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def show(figure: Figure, name: str) -> None:
    """Save a figure as ``examples-output/NAME.png`` and say so; a notebook shows it as well.

    Raises:
        WriteError: the file cannot be written.
    """
    FOLDER.mkdir(exist_ok=True)
    path = save_figure(figure, FOLDER / f"{name}.png", overwrite=True)
    print("figure:", path)
    if in_notebook():
        display, parts = _display()
        display(parts.Image(filename=str(path)))


def play(sounds: Mapping[str, Tensor], sample_rate: int = 16000) -> None:
    """Players of sounds in a notebook, each under its name and at a level that can be heard; nothing in a script.

    Args:
        sounds: (samples,) each, or (1, samples), by name.
        sample_rate: of all, Hz.

    Raises:
        ValueError: a sound has several channels.
    """
    waveforms = {name: sound.detach().cpu() for name, sound in sounds.items()}
    for name, sound in waveforms.items():
        if sound.dim() != 1 and sound.shape[:-1].numel() != 1:
            raise ValueError(f"{name} is of shape {tuple(sound.shape)}: give one channel, (samples,)")
    if in_notebook():
        display, parts = _display()
        for name, sound in waveforms.items():
            display(parts.Markdown(f"**{name}**"), parts.Audio(sound.flatten().numpy(), rate=sample_rate))


def _display() -> tuple[Any, Any]:
    from IPython import display

    return display.display, display
