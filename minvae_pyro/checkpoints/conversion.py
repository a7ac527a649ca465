"""Checkpoints of the format before this one, turned into checkpoints of this one: names change, weights do not."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minvae_pyro.checkpoints.checkpoint import FORMAT, read, restored, write
from minvae_pyro.checkpoints.schema import check_description
from minvae_pyro.errors import UserError
from minvae_pyro.registry.admission import Trust
from minvae_pyro.registry.build import complete
from minvae_pyro.registry.names import shortened

BEFORE = 2
"""The format that can be converted."""

_CLASSES = {
    "HeardPosterior": "NoisyAudioEncoder",
    "SeenPosterior": "MouthEncoder",
    "CleanPosterior": "CleanAudioEncoder",
    "LearntMixing": "LearntAlphaPrior",
    "FixedMixing": "FixedAlphaPrior",
    "UtteranceMixing": "UtteranceAlphaPrior",
    "LearntSwitching": "LearntMarkovAlphaPrior",
    "FixedSwitching": "FixedMarkovAlphaPrior",
    "Sight": "MouthFeatures",
    "MissingSight": "MissingFeatures",
    "SightEncoder": "FeaturePerceptron",
}
_ARGUMENTS = {
    "mixing": "alpha_prior",
    "switching": "alpha_prior",
    "sight": "visual_features",
    "sight_dim": "feature_dim",
}
_SUBMODULES = {"mixing": "alpha_prior", "sight": "visual_features"}


def convert(
    path: str | os.PathLike[str], output: str | os.PathLike[str], *, trust: Trust = (), overwrite: bool = False
) -> Path:
    """Write a checkpoint of format 2 as one of this format; the weights keep every bit.

    Args:
        path: the ``.safetensors`` file.
        output: the checkpoint to write; it may be the same file.
        trust: as of :func:`minvae_pyro.load_checkpoint`.
        overwrite: replace a file that exists.

    Raises:
        UserError: the file is no checkpoint or of another format, its classes or weights do not fit, or the output
            exists or cannot be written.
    """
    tensors, metadata = read(Path(path))
    if metadata["format"] != BEFORE:
        raise UserError(f"{path} has format {metadata['format']}: only format {BEFORE} is converted to {FORMAT}.")
    check_description(metadata, Path(path))
    renamed = _described(metadata)
    renamed["tie"] = {_place(one): _place(other) for one, other in metadata.get("tie", {}).items()}
    renamed = {**renamed, **complete(renamed, trust), "format": FORMAT}
    # a copy, for what is read lies in the file that may be written over
    placed = {_place(name): value.clone() for name, value in tensors.items()}
    restored(Path(path), placed, renamed, trust)
    return write(output, placed, renamed, overwrite=overwrite)


def _place(name: str) -> str:
    """Where a submodule or tensor is now, by its dotted path."""
    name = re.sub(r"(^|\.)fusion\.sight(?=\.|$)", r"\1fusion.visual", name)
    return ".".join(_SUBMODULES.get(part, part) for part in name.split("."))


def _described(part: Any) -> Any:
    """A description, or anything that holds some, with the names of today."""
    if isinstance(part, Mapping):
        path = part.get("class_path")
        if not isinstance(path, str):
            return {key: _described(value) for key, value in part.items()}
        ours = path.startswith("minvae_pyro.") or "." not in path
        arguments = {
            _ARGUMENTS.get(name, name) if ours else name: _function(name, _described(value))
            for name, value in (part.get("init_args") or {}).items()
        }
        named = shortened(part)["class_path"]
        return {**part, "class_path": _CLASSES.get(named, named) if ours else path, "init_args": arguments}
    return [_described(value) for value in part] if isinstance(part, list) else part


def _function(name: str, value: Any) -> Any:
    """What an encoder reads of power was named as a function, by its import path."""
    return value.rpartition(".")[2] if name == "transform" and isinstance(value, str) else value
