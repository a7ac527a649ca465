"""Trainings that an ablation needs: made from a configuration, each once, found again by what decides it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from minvae_pyro.checkpoints.checkpoint import checkpoint_file
from minvae_pyro.corpora.manifest import read_manifest, read_stft
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.descriptions import parse
from minvae_pyro.files import digest_of
from minvae_pyro.training.configuration import as_plain, decisive, read_configuration
from minvae_pyro.training.run import train

# what a run does not depend on
_IRRELEVANT = ("output", "resume", "device", "config", "credits", "trust")


@dataclass(frozen=True)
class Training:
    """A run of ``minvae train``, perhaps after others.

    Attributes:
        config: a YAML file or the name of a shipped configuration.
        options: those of ``minvae train`` without dashes, such as ``{guide.responsibility: FixedResponsibility}``.
            Where one holds ``{NAME}``, the weights of the training of that name in ``after`` are meant.
        after: trainings that come before, by names of their own.
    """

    config: str
    options: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Training] = field(default_factory=dict)

    @classmethod
    def from_description(cls, described: Any) -> Training:
        """The training that a mapping of ``config``, and perhaps ``options`` and ``after``, describes.

        Raises:
            UserError: it is no mapping, or a key is missing, unknown or of another type.
        """
        given = parse(described, "train", cls)
        before = {str(name): cls.from_description(one) for name, one in (described.get("after") or {}).items()}
        return cls(**{**given, "after": before})

    def check(self) -> None:
        """See that configuration, prepared features and checkpoints are there.

        Raises:
            UserError: one is not, or an option is wrong.
        """
        for training in self.after.values():
            training.check()
        try:
            data = self._given["data"]
            noise = (data.get("noise") or {}).get("init_args") or {}
            for folders in (data["train"], data["validation"], noise.get("voices")):
                for folder in folders if isinstance(folders, list) else []:
                    read_stft(Path(folder))
                    read_manifest(Path(folder))
            for source in self._sources():
                checkpoint_file(source)
        except UserError as error:
            raise UserError(f"training {self.config}: {error}") from error

    @cached_property
    def fingerprint(self) -> str:
        """Letters that change with whatever decides the weights: configuration, checkpoints at the start, version."""
        starts = [digest_of(checkpoint_file(source)) for source in self._sources()]
        given = {key: decisive(key, value) for key, value in self._given.items() if key not in _IRRELEVANT}
        return hashlib.sha256(json.dumps([given, starts], sort_keys=True).encode()).hexdigest()[:16]

    def run(self, folder: Path) -> Path:
        """Train, continue, or find what was trained, and return the weights.

        In the folder of all trainings each has one of its own, named by its fingerprint.

        Raises:
            UserError: as ``minvae train``.
            KeyboardInterrupt: interrupted; the next call continues.
        """
        weights = {name: str(training.run(folder)) for name, training in self.after.items()}
        return train([*self._arguments(weights), f"--output={folder / self.fingerprint}"])

    @cached_property
    def _given(self) -> dict[str, Any]:
        """The whole configuration, with marks for weights that are not there yet."""
        return as_plain(read_configuration(self._arguments(self._marks)))

    @cached_property
    def _marks(self) -> dict[str, str]:
        """What stands for weights that are not there yet."""
        return {name: training.fingerprint for name, training in self.after.items()}

    def _arguments(self, weights: Mapping[str, str]) -> list[str]:
        options = filled(self.options, {f"{{{name}}}": file for name, file in weights.items()})
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in options.items()}
        return ["--config", self.config, *(f"--{key}={text}" for key, text in texts.items())]

    def _sources(self) -> list[str]:
        """Checkpoints at the start that are not trained here."""
        sources = sorted({source.partition("#")[0] for source in self._given["initialise"].values()})
        return [source for source in sources if source not in self._marks.values()]


def filled(value: Any, texts: Mapping[str, str]) -> Any:
    """The value with texts put in the place of others into its strings, however deep."""
    if isinstance(value, str):
        for place, text in texts.items():
            value = value.replace(place, text)
        return value
    if isinstance(value, Mapping):
        return {key: filled(part, texts) for key, part in value.items()}
    return [filled(part, texts) for part in value] if isinstance(value, list) else value
