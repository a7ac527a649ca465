"""Checkpoints: one safetensors file with weights and all that is needed to use them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from minvae_pyro.audio.stft import STFT, stft_settings
from minvae_pyro.checkpoints.allowance import Allowance
from minvae_pyro.checkpoints.schema import check_description, check_weights
from minvae_pyro.corpora.schema import too_deep
from minvae_pyro.errors import UserError, shown
from minvae_pyro.files import write_atomic
from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.models import SpeechPrior
from minvae_pyro.probability.settled import settled
from minvae_pyro.registry import files
from minvae_pyro.registry.admission import Trust, trusted_modules
from minvae_pyro.registry.build import build, complete, together
from minvae_pyro.registry.match import check_sites
from minvae_pyro.registry.messages import plain
from minvae_pyro.registry.names import shortened
from minvae_pyro.utterances import MOUTH_SIZE, Utterances
from minvae_pyro.version import __version__

FORMAT = 3
"""Version of the layout of checkpoints: classes of this package have short names, so that moving one breaks no file."""

_KEY = "minvae_pyro"


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and how to use it.

    Attributes:
        prior: the speech prior, in evaluation mode.
        guide: its training guide, whose encoders give posteriors at test time; in evaluation mode.
        stft: the transform that it was trained on.
        enhancement: default settings of enhancement.
        metadata: everything that the file says of itself: ``format``, ``version``, ``stft``, ``prior``,
            ``guide``, ``tie``, ``training``, ``enhancement``, ``credits``.
        trust: modules that what it names may come from, besides those of this package; None for one that was made
            here and not read from a file.
    """

    prior: SpeechPrior
    guide: TrainingGuide
    stft: STFT
    enhancement: dict[str, Any]
    metadata: dict[str, Any]
    trust: tuple[str, ...] | None = None

    def to(self, device: str | torch.device) -> Checkpoint:
        """Move it to a device, itself; "auto" is a GPU where there is one.

        Raises:
            UserError: there is no such device.
        """
        device = device_named(device)
        for module in (self.prior, self.guide, self.stft):
            module.to(device)
        return self


def device_named(device: str | torch.device) -> str | torch.device:
    """A device that there is; "auto" is a GPU where there is one, else the CPU.

    Raises:
        UserError: there is no such device.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    check_device(device)
    return device


def check_device(device: str | torch.device) -> None:
    """See that tensors can be on a device.

    Raises:
        UserError: there is no such device.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts that it has it
        raise UserError(f"cannot compute on {device} ({str(error).splitlines()[0]}): choose cpu.") from error


def save_checkpoint(
    path: str | os.PathLike[str],
    prior: SpeechPrior,
    guide: TrainingGuide,
    description: Mapping[str, Any],
    stft: STFT,
    *,
    enhancement: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    credits: str = "",
    half: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a checkpoint, whole or not at all.

    Args:
        path: a ``.safetensors`` file.
        prior: the speech prior.
        guide: its guide.
        description: what they are made from again, see :func:`minvae_pyro.registry.build.build`.
        stft: the transform that they were trained on.
        enhancement: default settings of enhancement.
        training: configuration of the training run.
        credits: whose data and work went in.
        half: store weights in 16 bits, which rounds them.
        overwrite: replace a file that exists.

    Raises:
        UserError: the file exists or cannot be written, or the description is wrong.
        ValueError: a weight does not fit into 16 bits.
    """
    metadata = {
        "format": FORMAT,
        "version": __version__,
        "stft": stft_settings(stft),
        **complete(description),
        "training": dict(training or {}),
        "enhancement": shortened(enhancement or {}),
        "credits": credits,
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in _distinct(prior, guide).items()}
    if half:
        tensors = {name: _halve(name, value) for name, value in tensors.items()}
    return write(path, tensors, metadata, overwrite=overwrite)


def write(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], *, overwrite: bool
) -> Path:
    """Write weights and what they are for, whole or not at all.

    Raises:
        UserError: the file exists or cannot be written.
    """
    return write_atomic(path, save(dict(tensors), metadata={_KEY: json.dumps(metadata)}), overwrite=overwrite)


@settled()
def load_checkpoint(name_or_path: str | os.PathLike[str], trust: Trust = ()) -> Checkpoint:
    """Load a checkpoint; a file from anywhere may be tried, for nothing that it holds is run.

    Args:
        name_or_path: name of one that ships with the package (see :func:`shipped`), or a file.
        trust: modules of your own whose classes the file may name (``["my_package.priors"]``), which are imported.
            Without it only classes of this package are made, and some activations of torch.

    Raises:
        UserError: it is missing, no safetensors file, no checkpoint of this package or of another version of it, or
            damaged; it names classes that are not trusted, or its weights do not fit those that it names.

    Example:
        >>> checkpoint = load_checkpoint("a-vae")
        >>> prior, stft = checkpoint.prior, checkpoint.stft
        >>> type(prior).__name__, prior.latent_dim, stft.sample_rate
        ('AudioVAE', 32, 16000)
    """
    path = checkpoint_file(name_or_path)
    return restored(path, *_read(path), trust=trust)


def restored(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], trust: Trust = ()) -> Checkpoint:
    """Prior and guide with their weights, tried once.

    Args:
        path: where they come from, for messages.
        tensors: the weights by name.
        metadata: see :attr:`Checkpoint.metadata`.
        trust: as of :func:`load_checkpoint`.

    Raises:
        UserError: classes that are not trusted, or the weights do not fit those that are named.
    """
    described, stft = check_description(metadata, path)
    check_weights(tensors, path)
    with Allowance(sum(value.numel() for value in tensors.values())) as allowance:
        try:
            prior, guide = build(metadata, trust)
        # a constructor may fail in any way where a size makes no sense
        except Exception as error:
            reason = str(error) if isinstance(error, UserError) else plain(str(error)) or type(error).__name__
            if allowance.exceeded:
                reason = "its description asks for a larger model than there are weights"
            raise UserError(
                f"{path} cannot be used with minvae_pyro {__version__} (it was written by "
                f"{_version(metadata)}): {reason}"
            ) from error
    places = _distinct(prior, guide)
    missing, unknown = places.keys() - tensors.keys(), tensors.keys() - places.keys()
    shared = places.keys() & tensors.keys()
    wrong = {name for name in shared if places[name].shape != tensors[name].shape}
    mistyped = {name for name in shared if places[name].is_floating_point() != tensors[name].is_floating_point()}
    for problem, names in (
        ("lacks", missing),
        ("has unknown", unknown),
        ("has other shapes of", wrong),
        ("has other types of", mistyped),
    ):
        if names:
            some = ", ".join(shown(name)[1:-1] for name in sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
            raise UserError(
                f"{path} {problem} weights ({some}): it was written by minvae_pyro {_version(metadata)},"
                f" this is {__version__}; train it again."
            )
    with torch.no_grad():
        for name, place in places.items():
            place.copy_(tensors[name])
    _try(path, prior.eval(), guide.eval(), stft)
    return Checkpoint(prior, guide, stft, described.enhancement, dict(metadata), trusted_modules(trust))


def _try(path: Path, prior: SpeechPrior, guide: TrainingGuide, stft: STFT) -> None:
    """See that the parts fit each other and the transform, on two frames of noise with a mouth."""
    generator = torch.Generator().manual_seed(0)
    power = torch.rand(1, 2, stft.frequencies, generator=generator)
    mouth = torch.rand(1, 2, MOUTH_SIZE, MOUTH_SIZE, generator=generator)
    try:
        check_sites(prior, guide, Utterances.from_spectrum(power, mouth))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    # shapes that do not fit and weights that lead to no numbers show in many ways, as do parts of the user's
    except Exception as error:
        reason = shown(str(error).split("\n")[0])
        raise UserError(
            f"{path} cannot be used: its parts do not fit each other or its STFT, or its weights are damaged "
            f"({reason})."
        ) from error


def checkpoint_file(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a checkpoint.

    Args:
        name_or_path: name of one that ships with the package, or a file.

    Raises:
        UserError: there is none.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = _shipped()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    names = ", ".join(known) or "none"
    raise UserError(f"there is no checkpoint {name_or_path}: give a .safetensors file or a shipped name ({names}).")


def shipped() -> list[str]:
    """Names of the checkpoints that ship with the package."""
    return list(_shipped())


def _shipped() -> dict[str, Path]:
    return files.shipped("minvae_pyro.checkpoints", "weights", ".safetensors")


def describe(name_or_path: str | os.PathLike[str], trust: Trust = ()) -> dict[str, Any]:
    """What a checkpoint says of itself, see :attr:`Checkpoint.metadata`; no weight is read, and no part is made.

    Args:
        name_or_path: as of :func:`load_checkpoint`.
        trust: as of :func:`load_checkpoint`; prior and guide are looked up.

    Raises:
        UserError: as :func:`load_checkpoint`, for what concerns the description.
    """
    path = checkpoint_file(name_or_path)
    metadata = _read(path, weights=False)[1]
    check_description(metadata, path)
    try:
        complete(metadata, trust)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return metadata


def _read(path: Path, weights: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, metadata = read(path, weights)
    found = metadata["format"]
    if found == FORMAT:
        return tensors, metadata
    if found == FORMAT - 1:
        advice = f"convert it, `minvae import {path} --format minvae_pyro-{found} --output NEW.safetensors`"
    else:
        advice = "install the other version"
    raise UserError(
        f"{path} has format {shown(found)} (minvae_pyro {_version(metadata)}); this minvae_pyro "
        f"{__version__} reads format {FORMAT}: {advice}."
    )


def read(path: Path, weights: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and description of a file, whatever its format; nothing that it names is imported.

    Raises:
        UserError: it is no checkpoint of this package, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
            if text is None:
                raise UserError(f"{path} is no checkpoint of minvae_pyro: it does not say what its weights are for.")
            metadata = json.loads(text)
            metadata["format"]
            tensors = {name: file.get_tensor(name) for name in file.keys() if weights}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no safetensors file, or is damaged ({error}): give a checkpoint.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: its description cannot be read.") from error
    # torch cannot make a tensor of every type that a file may have
    except (AttributeError, RuntimeError) as error:
        raise UserError(f"{path} is damaged: its weights cannot be read ({shown(str(error))}).") from error
    if not isinstance(metadata, dict) or too_deep(metadata):
        raise UserError(f"{path} is damaged: its description is no mapping, or nested without end.")
    return tensors, metadata


def _version(metadata: Mapping[str, Any]) -> str:
    """The version that wrote a file, as far as it says so."""
    found = metadata.get("version")
    return shown(found)[1:-1] if isinstance(found, str) else "unknown"


def _distinct(prior: SpeechPrior, guide: TrainingGuide) -> dict[str, Tensor]:
    """Weights and buffers by name, those that several names share under the first one only."""
    tensors: dict[str, Tensor] = {}
    seen: set[tuple[int, torch.Size]] = set()
    for name, value in together(prior, guide).state_dict().items():
        place = value.data_ptr(), value.shape
        if value.numel() and place in seen:
            continue
        seen.add(place)
        tensors[name] = value
    return tensors


def _halve(name: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    halved = value.half()
    if not torch.isfinite(halved).all():
        raise ValueError(f"{name} does not fit into 16 bits: store it in full")
    return halved
