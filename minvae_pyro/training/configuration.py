"""Configurations of training runs: typed, in YAML files, every key also an option of the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import jsonargparse

from minvae_pyro.building import add_description, one_line
from minvae_pyro.corpora.data import CorpusData
from minvae_pyro.errors import UserError
from minvae_pyro.training.plan import Optimisation

# Keys that may change when a run is continued.
_FREE = {"output", "resume", "device", "patience", "epochs", "half", "enhancement", "credits", "config"}


def make_parser() -> jsonargparse.ArgumentParser:
    """The parser of configurations and of the arguments of ``minvae train``."""
    parser = jsonargparse.ArgumentParser(
        prog="minvae train",
        description="Train a model. The same command continues a run that was interrupted.",
        exit_on_error=False,
    )
    parser.add_argument(
        "--config",
        action="config",
        help=f"YAML file, or a shipped one: {', '.join(shipped_configurations())}",
    )
    add_description(parser)
    parser.add_class_arguments(CorpusData, "data", skip={"seed"})
    parser.add_class_arguments(Optimisation, "optimisation")
    parser.add_argument("--freeze", type=list[str], default=[], help="submodules that stay as they are")
    parser.add_argument(
        "--initialise",
        type=dict[str, str],
        default={},
        help="checkpoint a submodule starts from: {prior.decoder: FILE} or {prior.decoder: FILE#other.path}",
    )
    parser.add_argument("--epochs", type=int, default=50, help="at most so many")
    parser.add_argument(
        "--patience", type=int, default=10, help="stop after so many epochs without a better bound; 0: never"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides everything random")
    parser.add_argument("--output", type=str, default="runs/run", help="folder of the run")
    parser.add_argument("--device", type=Literal["auto", "cpu", "cuda"], default="auto", help="where to train")
    parser.add_argument(
        "--resume",
        type=Literal["auto", "never"],
        default="auto",
        help="auto continues the run in the output folder, never starts it over",
    )
    parser.add_argument("--half", type=bool, default=False, help="export weights in 16 bits")
    parser.add_argument("--enhancement", type=dict[str, Any], default={}, help="defaults kept in the checkpoint")
    parser.add_argument("--credits", type=str, default="", help="text kept in the checkpoint")
    return parser


def read_configuration(arguments: Sequence[str]) -> jsonargparse.Namespace:
    """Parse the arguments of ``minvae train``.

    Args:
        arguments: options; ``--config`` takes a file or the name of a shipped configuration.

    Raises:
        UserError: a configuration that is missing or wrong.
    """
    try:
        return make_parser().parse_args(_with_files(list(arguments)))
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise UserError(one_line(error)) from error


def shipped_configurations() -> list[str]:
    """Names of the configurations that ship with the package."""
    folder = resources.files("minvae_pyro") / "configs"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def as_plain(settings: jsonargparse.Namespace) -> dict[str, Any]:
    """The configuration as nested dictionaries, with full class names and every default."""
    return dict(json.loads(make_parser().dump(settings, format="json", skip_unset=False)))


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Keys in which a run that is to be continued differs from what it was."""
    free = set(_FREE)
    if before["optimisation"]["one_cycle"]:
        free.discard("epochs")  # the schedule was laid out for them
    ignored = {"workers"}
    return [
        key
        for key in sorted(before.keys() | now.keys())
        if key not in free and _without(before.get(key), ignored) != _without(now.get(key), ignored)
    ]


def for_checkpoint(plain: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint tells of its training: all but the model, and no folder of the machine it ran on."""
    own = {"prior", "guide", "tie", "enhancement", "credits", "config", "output", "resume", "device", "half"}
    kept: dict[str, Any] = json.loads(json.dumps({key: plain[key] for key in plain if key not in own}))
    for split in ("train", "validation"):
        if isinstance(kept["data"][split], list):
            kept["data"][split] = [Path(folder).name for folder in kept["data"][split]]
    kept["initialise"] = {path: "/".join(Path(file).parts[-2:]) for path, file in kept["initialise"].items()}
    return kept


def _without(value: Any, keys: set[str]) -> Any:
    return {k: v for k, v in value.items() if k not in keys} if isinstance(value, dict) else value


def _with_files(arguments: list[str]) -> list[str]:
    for number, argument in enumerate(arguments):
        if argument == "--config" and number + 1 < len(arguments):
            arguments[number + 1] = _file(arguments[number + 1])
        elif argument.startswith("--config="):
            arguments[number] = f"--config={_file(argument.removeprefix('--config='))}"
    return arguments


def _file(name: str) -> str:
    if Path(name).is_file():
        return name
    if name in shipped_configurations():
        return str(resources.files("minvae_pyro") / "configs" / f"{name}.yaml")
    raise UserError(
        f"there is no configuration {name}: give a YAML file or one of {', '.join(shipped_configurations())}."
    )
