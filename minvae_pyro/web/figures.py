"""What the page draws of an enhancement, for a light page and for a dark one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from minvae_pyro.enhancement.enhance import Enhancement
from minvae_pyro.files import write_atomic
from minvae_pyro.plots import enhancement_figure, responsibility_figure
from minvae_pyro.plots.style import drawn

_INKS = {"light": "#222222", "dark": "#d4d4d8"}
_INKED: tuple[Any, ...] = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
_CLEAR: tuple[Any, ...] = ("axes.facecolor", "figure.facecolor", "legend.facecolor")
_DPI = 110


@dataclass(frozen=True)
class Figures:
    """PNG files, by "light" and "dark".

    Attributes:
        spectrograms: before and after; below them the interval of the draws, where there are some.
        responsibility: under the mouths; None for a prior without that choice.
    """

    spectrograms: dict[str, Path]
    responsibility: dict[str, Path] | None


def draw(result: Enhancement, folder: Path) -> Figures:
    """Draw into an existing folder."""
    spectrograms = _both(
        folder / "spectrograms.png",
        lambda: enhancement_figure(
            (result.speech + result.noise).mean(0),
            result.speech.mean(0),
            sample_rate=result.sample_rate,
            draws=None if result.draws is None else result.draws.mean(1),
        ),
    )
    responsibility = result.audio_responsibility
    if responsibility is None:
        return Figures(spectrograms, None)
    under_mouths = _both(
        folder / "responsibility.png",
        lambda: responsibility_figure(responsibility, result.frame_times, result.mouth),
    )
    return Figures(spectrograms, under_mouths)


def _both(path: Path, figure: Callable[[], Figure]) -> dict[str, Path]:
    written = {}
    for name, ink in _INKS.items():
        look: Any = {**dict.fromkeys(_INKED, ink), **dict.fromkeys(_CLEAR, "none"), "font.size": 11}
        with matplotlib.rc_context(look):
            content = drawn(figure(), "png", dpi=_DPI)
        written[name] = write_atomic(path.with_stem(f"{path.stem}-{name}"), content)
    return written
