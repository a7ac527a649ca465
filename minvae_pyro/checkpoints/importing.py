"""Weights that others published, turned into checkpoints of this package: tensors alone are read, nothing is run."""

from __future__ import annotations

import configparser
import math
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minvae_pyro.audio.stft import STFT
from minvae_pyro.checkpoints import conversion
from minvae_pyro.checkpoints.checkpoint import FORMAT, describe, save_checkpoint
from minvae_pyro.checkpoints.published import AV_DKF, LEVEL, MIT_LICENSE, Layout
from minvae_pyro.errors import UserError
from minvae_pyro.registry.admission import Trust
from minvae_pyro.registry.build import build, together

FORMATS: dict[str, tuple[Layout, ...]] = {"av-dkf": AV_DKF}
"""Families of published weights by name."""

EARLIER = f"minvae_pyro-{conversion.BEFORE}"
"""The name of checkpoints of this package in the format before this one."""


@dataclass(frozen=True)
class Imported:
    """A checkpoint made of published weights.

    Attributes:
        path: the checkpoint.
        model: what it is, in the words of its configuration.
        prior: class of the prior.
        notes: plain sentences on what its user must know.
        licence: under which they were published.
    """

    path: Path
    model: str
    prior: str
    notes: tuple[str, ...]
    licence: str


def import_weights(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    format: str = "av-dkf",
    trust: Trust = (),
    overwrite: bool = False,
) -> Imported:
    """Turn published weights into a checkpoint that enhancement can use.

    Published models of this family heard recordings at unit peak, ours hear them at unit root mean square; that level
    is folded into the weights of the first and the last layer.

    Args:
        path: the ``.pt`` file, or its folder; ``config.ini`` lies beside it.
        output: the checkpoint to write, a ``.safetensors`` file.
        format: a name of :data:`FORMATS`, or :data:`EARLIER`.
        trust: modules of your own whose classes an earlier checkpoint may name, see
            :func:`minvae_pyro.load_checkpoint`.
        overwrite: replace a file that exists.

    Raises:
        UserError: there are no such weights, they are something else than tensors, or do not fit what their
            configuration says; the output exists or cannot be written.
    """
    if format == EARLIER:
        written = conversion.convert(path, output, trust=trust, overwrite=overwrite)
        described = describe(written, trust)
        return Imported(written, f"format {FORMAT}", described["prior"]["class_path"], (), described["credits"])
    if format not in FORMATS:
        raise UserError(f"there is no format '{format}': choose {', '.join((*FORMATS, EARLIER))}.")
    weights = _locate(Path(path))
    configuration = _read_configuration(weights.with_name("config.ini"))
    layout = _layout(configuration, FORMATS[format], weights)
    tensors = _read_tensors(weights)
    _require_names(tensors, layout, weights)
    stft = _stft(configuration, tensors, weights)
    description = layout.describe(tensors)
    prior, guide = build(description)
    places = together(prior, guide).state_dict()
    for name, value in _levelled(tensors, layout).items():
        layer, _, kind = name.rpartition(".")
        place = places[f"{layout.places[layer]}.{kind}"]
        if place.shape != value.shape:
            raise UserError(f"{weights} has {name} of shape {tuple(value.shape)}, which does not fit: not this model.")
        place.copy_(value)
    notes = (layout.note,) if layout.note else ()
    written = save_checkpoint(
        output,
        prior,
        guide,
        description,
        stft,
        enhancement=dict(layout.enhancement),
        training={"imported": layout.mode, "format": format, "configuration": configuration},
        credits="\n\n".join([f"{layout.mode} of arXiv 2211.00988, as published.", *notes, MIT_LICENSE]),
        overwrite=overwrite,
    )
    licence = "MIT licence, kept in the checkpoint's credits"
    return Imported(written, layout.mode, type(prior).__name__, notes, licence)


def _locate(path: Path) -> Path:
    if path.is_dir():
        found = sorted(path.glob("*.pt"))
        if len(found) != 1:
            raise UserError(f"{path} holds {len(found)} files *.pt, not one: give the file itself.")
        return found[0]
    if not path.is_file():
        raise UserError(f"there is no file or folder {path}: give a .pt file or its folder.")
    return path


def _read_configuration(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no {path}: the configuration must lie beside the weights.") from None
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise UserError(f"{path} cannot be read ({error}): give the configuration that was published.") from error
    return {section: dict(parser[section]) for section in parser.sections()}


def _layout(configuration: dict[str, dict[str, str]], layouts: tuple[Layout, ...], weights: Path) -> Layout:
    network = configuration.get("Network", {})
    modes = {layout.mode: layout for layout in layouts}
    mode = network.get("vae_mode", "")
    if mode not in modes:
        raise UserError(f"config.ini beside {weights} names the model '{mode}': there are {', '.join(modes)}.")
    if network.get("activation") != "tanh":
        raise UserError(f"config.ini beside {weights} has the activation '{network.get('activation')}', not tanh.")
    return modes[mode]


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        read: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} is no file of tensors, or holds more than tensors: nothing of it was run.") from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged, or no file of tensors: give the .pt file that was published.") from error
    plain = isinstance(read, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) and value.dtype == torch.float32
        for name, value in read.items()
    )
    if not plain:
        raise UserError(f"{path} is no plain table of tensors in single precision: give the .pt file as published.")
    if not all(value.isfinite().all() for value in read.values()):
        raise UserError(f"{path} has weights that are not finite: it is damaged.")
    return dict(read)


def _require_names(tensors: dict[str, Tensor], layout: Layout, path: Path) -> None:
    kinds = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    needed = {
        f"{layer}.{kind}" for layer in layout.places for kind in (kinds if layer == "rnn_gx" else ("weight", "bias"))
    }
    for problem, names in (("lacks", needed - tensors.keys()), ("has besides", tensors.keys() - needed)):
        if names:
            some = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
            raise UserError(f"{path} is no {layout.mode}: it {problem} {some}.")


def _stft(configuration: dict[str, dict[str, str]], tensors: dict[str, Tensor], path: Path) -> STFT:
    """The transform of the configuration, which always had a sine window."""
    try:
        settings, network = configuration["STFT"], configuration["Network"]
        rate = int(settings["fs"])
        # the next power of two
        window = 1 << (round(float(settings["wlen_sec"]) * rate) - 1).bit_length()
        stft = STFT(window, int(float(settings["hop_percent"]) * window), rate)
        padded = float(settings["zp_percent"]) != 0
        sizes = int(network["x_dim"]), int(network["z_dim"])
    except (KeyError, ValueError, OverflowError) as error:
        raise UserError(f"config.ini beside {path} does not tell the STFT and the sizes ({error!r}).") from error
    if padded or stft.frequencies != sizes[0]:
        raise UserError(f"config.ini beside {path} has an STFT that is padded or has not {sizes[0]} frequencies.")
    found = tensors["gen_logvar.bias"].numel(), tensors["inf_mean.bias"].numel()
    if found != sizes:
        raise UserError(f"{path} has x_dim and z_dim {found}, but its config.ini says {sizes}.")
    return stft


def _levelled(tensors: dict[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """The same network for power at unit root mean square, exactly: power scales by the square of the level."""
    power = LEVEL**2
    hears, bias = f"{layout.hears}.weight", "gen_logvar.bias"
    return {**tensors, hears: tensors[hears] * power, bias: tensors[bias] - math.log(power)}
