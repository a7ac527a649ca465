"""Systems that are compared: a checkpoint, how it is used, and what it is shown."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from minvae_pyro.audio.files import read_sound
from minvae_pyro.checkpoints.checkpoint import describe
from minvae_pyro.enhancement.batch import Estimate
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.descriptions import parse, read_yaml
from minvae_pyro.evaluation.mixtures import Mixture
from minvae_pyro.evaluation.videos import make_video
from minvae_pyro.guides.test_time.starts import STARTS
from minvae_pyro.inference import InferenceEngine, Settings
from minvae_pyro.inference.pyro_parts import make_guide
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.models import NoiseModel
from minvae_pyro.registry.build import make
from minvae_pyro.registry.names import Description, resolve

INPUT = "input"
"""Name under which the mixtures as they are stand beside the systems."""

CLEAN = "clean"
"""Name under which the clean sounds are kept."""


@dataclass(frozen=True)
class System:
    """A way to enhance.

    Attributes:
        name: in tables and figures, and of the folder of its sounds.
        checkpoint: a shipped name or a file.
        settings: of :class:`minvae_pyro.inference.Settings`: engine, start, noise, guide and so on, each a number, a
            name or a description. What is not given is the model's choice.
        video: what it gets, see :func:`minvae_pyro.evaluation.videos.make_video`.
        seed: decides everything random.
        factors: level of each factor of an ablation, for the table.
        trust: modules of your own whose classes the checkpoint may name, see :func:`minvae_pyro.load_checkpoint`.
    """

    name: str
    checkpoint: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    video: Description = "right"
    seed: int = 0
    factors: Mapping[str, str] = field(default_factory=dict)
    trust: Sequence[str] = ()

    @classmethod
    def from_description(
        cls, name: str, description: Any, factors: Mapping[str, str] | None = None, trust: Sequence[str] = ()
    ) -> System:
        """The system that a mapping describes, checked.

        Its keys are ``checkpoint``, and perhaps ``video``, ``seed``, ``trust`` and settings. A
        key that is None counts as left out; ``trust`` comes on top of what the description trusts.

        Raises:
            UserError: as :meth:`check`, or a key that is unknown, missing, or of another type.
        """
        given = parse(description, f"system {name}", cls, Settings, skip=("name", "settings", "factors"))
        own = {key: given.pop(key) for key in ("checkpoint", "video", "seed", "trust") if key in given}
        own["trust"] = (*own.get("trust", ()), *trust)
        return cls(name=name, settings=given, factors=dict(factors or {}), **own).check()

    def check(self) -> System:
        """This system, once everything that it names is found.

        Raises:
            UserError: a name, checkpoint, setting or video that cannot be used; the message names system and key.
        """
        check_name(self.name)
        given = {"checkpoint": self.checkpoint, "video": self.video, **self.settings, "settings": self.settings}
        checks = {**_CHECKS, "checkpoint": self._check_checkpoint}
        for key in [key for key in given if key in checks]:
            try:
                checks[key](given[key])
            except UserError as error:
                raise UserError(f"system {self.name}, {key}: {error}") from error
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                raise UserError(f"system {self.name}, {key}: {given[key]!r} cannot be used ({error}).") from error
        return self

    def _check_checkpoint(self, checkpoint: str) -> None:
        """See that its description can be used, and of the settings that it keeps those that are not given."""
        kept = describe(checkpoint, self.trust)["enhancement"]
        Settings.of_checkpoint({key: kept[key] for key in kept if self.settings.get(key) is None}, self.trust)


def check_name(name: str) -> str:
    """A name that can be that of a folder and is not taken.

    Raises:
        UserError: it is not.
    """
    if not re.fullmatch(r"[^\s./\\][^/\\\n]{0,150}", name) or name in {INPUT, CLEAN}:
        raise UserError(
            f"{name!r} is no name for a system: without slashes or a dot in front, up to 150 letters, and neither "
            f"{INPUT} nor {CLEAN}."
        )
    return name


def parse_system(text: str, trust: Sequence[str] = ()) -> System:
    """The system of ``NAME=CHECKPOINT``, or of a checkpoint alone, which gives it its name.

    Args:
        text: what was typed.
        trust: see :class:`System`.

    Raises:
        UserError: the checkpoint cannot be used.
    """
    name, equals, checkpoint = text.partition("=")
    if not equals:
        name, checkpoint = Path(text).stem, text
    return System(name, checkpoint, trust=trust).check()


def read_systems(path: str | os.PathLike[str], trust: Sequence[str] = ()) -> list[System]:
    """Read systems from a YAML file that maps names to descriptions.

    ::

        min-vae: {checkpoint: min-vae}
        deaf to the mouth: {checkpoint: min-vae, video: absent, engine: fast, seed: 1}

    Checkpoints in it are shipped names, or files relative to the current folder.

    Args:
        path: the file.
        trust: see :class:`System`; of all systems.

    Raises:
        UserError: no such file, no mapping, or a system that cannot be used; the message names system and key.
    """
    described = read_yaml(path, "systems of")
    if not isinstance(described, dict) or not described:
        raise UserError(f"{path} must map names of systems to descriptions, such as `ours: {{checkpoint: min-vae}}`.")
    try:
        return [System.from_description(str(name), one, trust=trust) for name, one in described.items()]
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _described(value: Any) -> Description:
    if isinstance(value, str) or (isinstance(value, Mapping) and "class_path" in value):
        return value
    raise UserError(f"{value!r} is neither a name nor a description with class_path.")


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "video": lambda value: make_video(_described(value)),
    "engine": lambda value: make(InferenceEngine, _described(value), "engine", ENGINES),  # type: ignore[type-abstract]
    "start": lambda value: resolve(value, STARTS, callable, "start"),
    "noise": lambda value: make(NoiseModel, _described(value), "noise model"),  # type: ignore[type-abstract]
    "guide": lambda value: make_guide(_described(value)),
    "settings": Settings.choose,
}

_SLACK = 0.05  # seconds by which an estimate may be longer or shorter than its mixture


@dataclass(frozen=True)
class Estimates:
    """What another system has made of the mixtures.

    Attributes:
        name: of the system.
        folder: of sound files named after the ids of mixtures, at any rate.
    """

    name: str
    folder: Path

    def file(self, mixture: Mixture) -> Path | None:
        """The estimate of a mixture, if there is one."""
        files = (self.folder / f"{mixture.id}{suffix}" for suffix in (".wav", ".flac"))
        return next((file for file in files if file.is_file()), None)

    def read(self, mixture: Mixture, noisy: Tensor, notes: list[str]) -> Estimate:
        """Read the estimate of a mixture, mono, at the rate and with the length of the noisy sound, (samples,).

        ``notes`` gets a line where the end was cut, or filled with silence.

        Raises:
            UserError: there is none, it cannot be read, or it is off by more than a twentieth of a second.
        """
        file = self.file(mixture)
        if file is None:
            raise UserError(f"there is no {self.folder / mixture.id}.wav or .flac")
        speech = read_sound(file).resample(mixture.sample_rate).mono()
        missing = len(noisy) - len(speech)
        if abs(missing) > _SLACK * mixture.sample_rate:
            lengths = f"{len(speech) / mixture.sample_rate:.3f} s, the mixture {len(noisy) / mixture.sample_rate:.3f} s"
            raise UserError(f"{file} lasts {lengths}: align them")
        if missing:
            notes.append(f"the estimate is {abs(missing)} samples too {'short' if missing > 0 else 'long'}")
        return given(pad(speech, (0, missing)))


def given(speech: Tensor) -> Estimate:
    """An estimate of which nothing more is known."""
    return Estimate(speech, None, torch.empty(0), math.nan)
