"""Configurations of training runs: typed, in YAML files, every key also an option of the command line."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jsonargparse
import yaml

# what derives from a base class has a name once it is imported
import minvae_pyro.synthetic.corpus
import minvae_pyro.training.augmentation
import minvae_pyro.training.microphone
import minvae_pyro.training.noise  # noqa: F401
from minvae_pyro.corpora.loader import CorpusData
from minvae_pyro.errors import UserError
from minvae_pyro.registry import build
from minvae_pyro.registry.command_line import descriptions
from minvae_pyro.registry.files import shipped
from minvae_pyro.registry.parser import Parser

CONFIGURATIONS = shipped("minvae_pyro.training", "configs")
"""Files of the configurations that ship with the package, by name."""

FAMILIES = shipped("minvae_pyro.training", "families")
"""Files of the families that ship with the package, by name."""

# Keys that may change when a run is continued.
_FREE = {
    "output",
    "resume",
    "device",
    "precision",
    "patience",
    "epochs",
    "half",
    "enhancement",
    "credits",
    "config",
    "trust",
}


@dataclass
class Optimisation:
    """How the bound is climbed.

    Attributes:
        lr: learning rate of Adam; with ``one_cycle`` the highest.
        one_cycle: raise and lower the rate over the whole run (Smith & Topin, arXiv 1708.07120).
        clip: largest norm of the gradient of the loss per frame.
        weight_decay: of Adam's decoupled kind.
    """

    lr: float = 1e-3
    one_cycle: bool = False
    clip: float = 500.0
    weight_decay: float = 0.0


@dataclass
class TrainerSettings:
    """Lightning's trainer. What a run itself decides, such as epochs, has options of its own.

    Attributes:
        accelerator: cpu, gpu, mps, ...; as ``--device`` says when omitted.
        devices: processes on each machine, or the numbers of its devices; ``data.batch_size`` is that of one process.
        num_nodes: machines.
        strategy: how processes share the work: a name, such as ddp, or the import path of a class.
        precision: any of Lightning's, such as 16-mixed or 64-true; as ``--precision`` says when omitted.
        logger: classes, by import path or by their names in Lightning, in the place of TensorBoard; false: none.
        callbacks: classes, by import path or by their names in Lightning, besides those of the run.
        sync_batchnorm: take the statistics of a batch over all processes.
        deterministic: refuse operations that do not repeat to the bit.
        benchmark: let cuDNN choose its algorithms by trying.
        profiler: simple or advanced: where the time goes.
    """

    accelerator: str | None = None
    devices: int | list[int] | str = 1
    num_nodes: int = 1
    strategy: Any = "auto"
    precision: str | None = None
    logger: Any = None
    callbacks: Any = None
    sync_batchnorm: bool = False
    deterministic: bool = False
    benchmark: bool | None = None
    profiler: str | None = None


_CLASSES = ("trainer.strategy", "trainer.logger", "trainer.callbacks")


@functools.cache
def make_parser() -> Parser:
    """The parser of configurations and of the arguments of ``minvae train``."""
    parser = Parser(
        prog="minvae train",
        usage="minvae train --config NAME_OR_FILE [--KEY VALUE ...]\n"
        "       minvae train --prior CLASS --guide CLASS --data.train DATA --data.validation DATA\n"
        "                    [--KEY VALUE ...]",
        description="Train a speech prior with its guide. Every key of a configuration is an option and the other way "
        "round; what comes later wins. The same command continues a run that was interrupted.",
        epilog="With a family, an option goes to all stages that have the key, and --stages.NAME.KEY to one; "
        "--data.strangers are talkers that the visual component is not to meet before the last stage. "
        "`minvae list` shows all classes and configurations.",
    )
    parser.add_argument(
        "--config",
        action="config",
        metavar="NAME_OR_FILE",
        help=f"YAML file, or a shipped one: {', '.join(CONFIGURATIONS)}; or a family of them, which are trained one "
        f"after the other: {', '.join(FAMILIES)}",
    )
    build.add_description(parser)
    start = parser.add_argument_group("weights at the start")
    start.add_argument(
        "--initialise",
        type=dict[str, str],
        default={},
        help="checkpoint a submodule starts from: {prior.decoder: FILE} or {prior.decoder: FILE#other.path}",
    )
    start.add_argument("--freeze", type=list[str], default=[], help="submodules that stay as they are")
    parser.add_trust()
    parser.add_settings(CorpusData, "data", skip={"seed"})
    parser.add_settings(Optimisation, "optimisation")
    parser.add_settings(TrainerSettings, "trainer")
    run = parser.add_argument_group("the run")
    run.add_argument("--epochs", type=int, default=50, help="at most so many")
    run.add_argument(
        "--patience", type=int, default=10, help="stop after so many epochs without a better bound; 0: never"
    )
    run.add_argument("--seed", type=int, default=0, help="decides everything random")
    run.add_argument("--output", type=str, default="runs/run", help="folder of the run")
    run.add_argument("--device", type=Literal["auto", "cpu", "cuda"], default="auto", help="where to train")
    run.add_argument(
        "--precision",
        type=Literal["32-true", "tf32", "bf16-mixed"],
        default="32-true",
        help="32-true; tf32 lets a GPU round what it multiplies; bf16-mixed runs networks in 16 bits, the bound in 32",
    )
    run.add_argument(
        "--resume",
        type=Literal["auto", "never"],
        default="auto",
        help="auto continues the run in the output folder, never starts it over",
    )
    result = parser.add_argument_group("the checkpoint that is written")
    result.add_argument("--half", type=bool, default=False, help="weights in 16 bits")
    result.add_argument("--enhancement", type=dict[str, Any], default={}, help="defaults of `minvae enhance`")
    result.add_argument("--credits", type=str, default="", help="text that it carries")
    return parser


def read_configuration(arguments: Sequence[str]) -> jsonargparse.Namespace:
    """Parse the arguments of ``minvae train``; ``--config`` takes a file or the name of a shipped configuration.

    Raises:
        UserError: a configuration that is missing or wrong.
    """
    settings = make_parser().read(_with_classes_whole(_with_files(arguments)))
    build.check_classes(settings)
    shipped_ones = [name for name in configurations_in(arguments) if not Path(name).is_file()]
    if shipped_ones:
        own = yaml.safe_load(CONFIGURATIONS[shipped_ones[-1]].read_text(encoding="utf-8"))
        _leave_behind(settings, own, arguments)
    return settings


def as_plain(settings: jsonargparse.Namespace) -> dict[str, Any]:
    """The configuration as nested dictionaries with every default; classes of this package have their short names."""
    return build.as_plain(make_parser(), settings)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Keys in which a run that is to be continued differs from what it was."""
    # with one_cycle the schedule was laid out for the epochs
    free = _FREE - {"epochs"} if before["optimisation"]["one_cycle"] else _FREE
    keys = sorted((before.keys() | now.keys()) - free)
    return [key for key in keys if decisive(key, before.get(key)) != decisive(key, now.get(key))]


def decisive(key: str, value: Any) -> Any:
    """What of the value of a key decides the weights: not how batches are loaded, nor on what they are trained."""
    if key == "data" and isinstance(value, Mapping):
        return {k: v for k, v in value.items() if k != "workers"}
    if key == "trainer":
        given = value or {}
        return [given.get("devices", 1), given.get("num_nodes", 1)]
    return value


def for_checkpoint(plain: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint records of its training: all but the model, and no folder of the machine it ran on."""
    own = {"prior", "guide", "tie", "enhancement", "credits", "config", "output", "resume", "device", "half", "trust"}
    own |= {"trainer"}  # may hold accounts and folders
    kept: dict[str, Any] = json.loads(json.dumps({key: plain[key] for key in plain if key not in own}))
    for split in ("train", "validation"):
        if isinstance(kept["data"][split], list):
            kept["data"][split] = [Path(folder).name for folder in kept["data"][split]]
    kept["initialise"] = {path: "/".join(Path(file).parts[-2:]) for path, file in kept["initialise"].items()}
    return kept


def _leave_behind(settings: jsonargparse.Namespace, own: Mapping[str, Any], arguments: Sequence[str]) -> None:
    """Drop what a shipped configuration says of its own data from a run on others: credits, voices for noise."""
    if settings.data.train == own["data"]["train"]:
        return
    if settings.credits == own.get("credits", "") and not _typed(arguments, "credits"):
        settings.credits = ""
    noise = own["data"].get("noise")
    # by its name alone it has no arguments
    voices = (noise.get("init_args") or {}).get("voices") if isinstance(noise, Mapping) else None
    typed = any(_typed(arguments, f"data.noise.{key}voices") for key in ("", "init_args."))
    if voices and not typed and settings.get("data.noise.init_args.voices") == voices:
        settings["data.noise.init_args.voices"] = []


def _typed(arguments: Sequence[str], key: str) -> bool:
    return any(re.match(rf"--{re.escape(key)}([.=]|$)", one) for one in arguments)


def _with_classes_whole(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``--trainer.KEY CLASS --trainer.KEY.ARGUMENT VALUE`` as one description of a class each."""
    dotted = [key for key in _CLASSES if any(one.startswith(f"--{key}.") for one in arguments)]
    described = descriptions(arguments, dotted)
    parts = iter(arguments)
    kept = []
    for part in parts:
        if any(_typed([part], key) for key in dotted):
            if "=" not in part:
                next(parts, None)
        else:
            kept.append(part)
    return [*kept, *(f"--{key}={json.dumps(value)}" for key, value in described.items())]


def configurations_in(arguments: Sequence[str]) -> list[str]:
    """What ``--config`` is given, in the order of an arguments list."""
    parts = _apart(arguments)
    return [part for before, part in itertools.pairwise(parts) if before == "--config"]


def _apart(arguments: Sequence[str]) -> list[str]:
    return [part for one in arguments for part in (one.split("=", 1) if one.startswith("--config=") else [one])]


def _with_files(arguments: Sequence[str]) -> list[str]:
    """The arguments with the files of shipped configurations in place of their names."""
    parts = _apart(arguments)
    return [_file(part) if before == "--config" else part for before, part in zip(["", *parts], parts, strict=False)]


def _file(name: str) -> str:
    if Path(name).is_file():
        return name
    if name in CONFIGURATIONS:
        return str(CONFIGURATIONS[name])
    raise UserError(
        f"there is no configuration {name}: give a YAML file or one of {', '.join([*CONFIGURATIONS, *FAMILIES])}."
    )
