"""What visitors may choose, from the lists of the product, and what each is, from its docstring.

Strangers choose here: names of this package alone, never an import path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minvae_pyro.checkpoints.checkpoint import describe
from minvae_pyro.cli.list import entries, kinds
from minvae_pyro.enhancement.enhance import DEFAULT_CHECKPOINT
from minvae_pyro.errors import UserError
from minvae_pyro.inference.settings import ENGINES, Settings
from minvae_pyro.registry.names import name_of

USUAL = "as the checkpoint says"
"""The choice that leaves engine, noise model or guide to the checkpoint."""

# a guide of Pyro's by its import path is what this one is made for
_NOT_OFFERED = {"PyroGuide"}
_KINDS = {"engine": "engines", "noise": "noises", "guide": "test-guides"}


@dataclass(frozen=True)
class Choices:
    """What there is to choose from.

    Attributes:
        checkpoints: by the name that visitors see, what is loaded: a shipped name or a file.
        parts: for "engine", "noise" and "guide" the summary of each name; :data:`USUAL` comes first.
        summaries: of the checkpoints.
    """

    checkpoints: Mapping[str, str]
    parts: Mapping[str, Mapping[str, str]]
    summaries: Mapping[str, str]

    def explain(self, key: str, name: str, checkpoint: str = DEFAULT_CHECKPOINT) -> str:
        """What a choice means, in a sentence or two."""
        if key == "checkpoint":
            return self.summaries.get(name, "")
        if name != USUAL:
            return self.parts[key].get(name, "")
        usual = _usual(self.checkpoints[checkpoint], key)
        return f"{usual}: {self.parts[key].get(usual, '')}" if checkpoint in self.checkpoints else ""

    def check(self, key: str, name: str) -> str | None:
        """What is given to enhancement for a choice; None where the checkpoint says it.

        Raises:
            UserError: it was not offered.
        """
        offered = self.checkpoints if key == "checkpoint" else self.parts[key]
        if name not in offered:
            raise UserError(f"there is no {key} of that name here: choose {', '.join(offered)}.")
        if key == "checkpoint":
            return self.checkpoints[name]
        return None if name == USUAL else name


def choices(own: Sequence[str] = ()) -> Choices:
    """All there is; ``own`` are checkpoint files of whoever serves the page, which come first.

    Raises:
        UserError: one of them cannot be read.
    """
    known = kinds()
    shipped = {entry.name: _with_paper(entry.summary, entry.paper) for entry in entries(known["checkpoints"][2])}
    files = {}
    for file in own:
        if file not in shipped:
            description = describe(file)
            files[Path(file).name] = file
            shipped[Path(file).name] = " with ".join(name_of(description[key]) for key in ("prior", "guide")) + "."
    names = dict.fromkeys([*files, DEFAULT_CHECKPOINT, *shipped])
    parts = {}
    for key, kind in _KINDS.items():
        found = [entry for entry in entries(known[kind][2]) if entry.name not in _NOT_OFFERED]
        parts[key] = {USUAL: "", **{entry.name: _with_paper(entry.summary, entry.paper) for entry in found}}
    return Choices({name: files.get(name, name) for name in names}, parts, shipped)


def _usual(checkpoint: str, key: str) -> str:
    """The name of what a checkpoint asks for."""
    name = name_of(getattr(Settings.of_checkpoint(describe(checkpoint)["enhancement"], ()), key))
    short = {engine.__name__: short for short, engine in ENGINES.items()}
    return short.get(name, name)


def _with_paper(summary: str, paper: str) -> str:
    return f"{summary} ({paper})" if paper else summary
