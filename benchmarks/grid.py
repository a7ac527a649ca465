"""What is compared with what: systems, training seeds, starts and videos, and where the weights lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from minvae_pyro.errors import UserError

VIDEOS = {
    "right": "right",
    "other": "of another clip of the talker",
    "frozen": "frozen after one second",
    "absent": "absent",
}
"""What may happen to the video, and how tables call it."""

STARTS = ("visual", "audio", "both")
"""Where the posterior of z may start."""

PARTS = ("systems", "starts", "videos", "speed")
"""What can be measured."""


@dataclass(frozen=True)
class System:
    """A way to enhance.

    Attributes:
        name: of its checkpoint.
        label: in tables and figures.
        start: where it starts unless starts are compared; "" leaves it to the checkpoint.
        with_mouth: it looks at the video.
    """

    name: str
    label: str
    start: str
    with_mouth: bool = True


BASELINE = System("a-vae", "A-VAE", "audio", with_mouth=False)
PUBLISHED = System("min-vae-published", "MIN-VAE as published", "visual")
SHIPPED = System("min-vae", "MIN-VAE", "both")
SYSTEMS = {system.name: system for system in (BASELINE, PUBLISHED, SHIPPED)}


@dataclass(frozen=True, order=True)
class Cell:
    """One run over all mixtures.

    Attributes:
        system: name of the system, or ``"input"``: the mixtures as they are.
        seed: of the training.
        start: one of ``STARTS``.
        video: one of ``VIDEOS``.
    """

    system: str
    seed: int = 0
    start: str = ""
    video: str = ""

    def __str__(self) -> str:
        return "-".join(str(part) for part in (self.system, self.seed, self.start, self.video) if part != "")


INPUT = Cell("input")


def cells(parts: Iterable[str], systems: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """The runs that some parts need, each once: seed by seed, so that an interrupted benchmark has whole seeds.

    Args:
        parts: some of ``PARTS``.
        systems: names of systems.
        seeds: of the trainings.
    """
    parts = set(parts)
    found: dict[Cell, None] = {INPUT: None} if parts - {"speed"} else {}
    for seed in seeds:
        for name in systems:
            system = SYSTEMS[name]
            if not system.with_mouth:
                found |= {Cell(name, seed, system.start, "absent"): None} if parts - {"speed"} else {}
                continue
            if parts & {"systems", "starts", "videos"}:
                found[Cell(name, seed, system.start, "right")] = None
            if "starts" in parts:
                found |= {Cell(name, seed, start, "right"): None for start in STARTS}
            if "videos" in parts:
                found |= {Cell(name, seed, system.start, video): None for video in VIDEOS}
    return list(found)


class Weights:
    """Where the checkpoints lie.

    Args:
        places: ``shipped`` (those of the package), a folder with ``NAME.safetensors`` for seed 0 and
            ``NAME-seed1.safetensors`` and so on, or a pattern with ``{name}`` and ``{seed}``. With ``NAME=`` in
            front it holds for that system only.
        names: of the systems.

    Raises:
        UserError: a name that is no system, or a pattern with other braces.
    """

    def __init__(self, places: Sequence[str], names: Sequence[str] = tuple(SYSTEMS)) -> None:
        self._places = dict.fromkeys(names, "shipped")
        for place in places:
            name, equals, there = place.partition("=")
            if not equals:
                # what is said of one system holds whatever the order
                said = {one for one in names if any(other.startswith(f"{one}=") for other in places)}
                self._places |= {one: place for one in names if one not in said}
            elif name in names:
                self._places[name] = there
            else:
                raise UserError(f"{name} is no system: it is one of {', '.join(names)}.")
        for name in names:
            self.path(name, 0)

    def path(self, name: str, seed: int) -> Path:
        """The file of a system; it may not exist."""
        place = self._places[name]
        if "{" in place:
            try:
                return Path(place.format(name=name, seed=seed))
            except (KeyError, IndexError, ValueError) as error:
                raise UserError(f"{place} is no pattern: write {{name}} and {{seed}} in it.") from error
        folder = Path(str(resources.files("minvae_pyro") / "weights")) if place == "shipped" else Path(place)
        return folder / f"{name}{f'-seed{seed}' if seed else ''}.safetensors"


def fingerprint(*files: Path) -> str:
    """A few letters that change with the content of the files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:10]
