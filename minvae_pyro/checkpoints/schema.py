"""What a checkpoint must say of itself, and what its weights must be, before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minvae_pyro.audio.stft import STFT
from minvae_pyro.corpora.schema import checked, transform
from minvae_pyro.errors import UserError, shown


@dataclass(frozen=True)
class Description:
    """The description in a checkpoint; classes in it are looked up when prior and guide are built.

    Attributes:
        version: of the package that wrote it.
        stft: numbers of the transform.
        prior: description of the prior.
        guide: of its guide.
        tie: submodules that are one and the same.
        enhancement: default settings of enhancement.
        training: how it was trained.
        credits: whose data and work went in.
    """

    version: str
    stft: dict[str, Any]
    prior: dict[str, Any]
    guide: dict[str, Any]
    tie: dict[str, Any] = field(default_factory=dict)
    enhancement: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    credits: str = ""


def check_description(metadata: Mapping[str, Any], path: Path) -> tuple[Description, STFT]:
    """The description in a file, each entry of its type, and its transform.

    Raises:
        UserError: an entry is missing, of another type, or beyond its range.
    """
    described = checked(Description, metadata, f"{path}: its description")
    return described, transform(described.stft, f"{path}: its stft")


def check_weights(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that are no numbers.

    Raises:
        UserError: some are NaN or infinite.
    """
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise UserError(f"{path} has weights that are NaN or infinite ({shown(name)[1:-1]}): it is damaged.")
