"""A family: trainings in a file, each of which begins with the weights of others, and what each is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from minvae_pyro.corpora.schema import checked
from minvae_pyro.errors import UserError, about, shown
from minvae_pyro.training.configuration import FAMILIES, as_plain, configurations_in, read_configuration
from minvae_pyro.training.roles import ROLES


@dataclass(frozen=True)
class Stage:
    """One training of a family.

    Attributes:
        config: a YAML file, beside that of the family say, or the name of a shipped configuration.
        initialise: as of ``minvae train``, where the name of an earlier stage stands for its weights.
        data: which part of the training data it learns from (:data:`minvae_pyro.training.roles.ROLES`), and how often
            one as compared with another.
        options: others of ``minvae train``.
    """

    config: str
    initialise: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=lambda: {"train": 1})
    options: dict[str, Any] = field(default_factory=dict)


def family_file(arguments: Sequence[str]) -> Path | None:
    """The file of the family that ``--config`` names; None where it names a configuration."""
    for name in reversed(configurations_in(arguments)):
        path = Path(name)
        if not path.is_file():
            return FAMILIES.get(name)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            return None  # whoever reads it says what is wrong
        return path if isinstance(content, Mapping) and "stages" in content else None
    return None


def read_family(path: Path) -> dict[str, Stage]:
    """The stages of a family, by name and in their order.

    Raises:
        UserError: something in the file is wrong.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    described = content["stages"]
    if set(content) != {"stages"} or not isinstance(described, Mapping) or not described:
        raise UserError(f"{path}: a family has stages, a mapping of their names, and nothing else.")
    known = [one.name for one in fields(Stage)]
    stages: dict[str, Stage] = {}
    for name, given in described.items():
        where = f"{path}: stage {shown(name)}"
        if not isinstance(name, str) or not name or set(name) & set("/\\.#"):
            raise UserError(f"{where}: a stage is named by a word without dots or slashes, for it has a folder.")
        stage = checked(Stage, given, where)
        if others := sorted(set(map(str, given)) - set(known)):
            raise UserError(f"{where} has no {', '.join(others)}. It may have {', '.join(known)}.")
        for source in stage.initialise.values():
            begun = str(source).partition("#")[0]
            if begun in described and begun not in stages:
                raise UserError(f"{where} cannot begin with {begun}, which does not come before it.")
        for role, weight in stage.data.items():
            if role not in ROLES or isinstance(weight, bool) or not isinstance(weight, int | float) or weight <= 0:
                raise UserError(f"{where}: data are {', '.join(ROLES)}, each with a number above 0 of how often.")
        beside = path.parent / stage.config
        stages[name] = Stage(
            str(beside) if beside.is_file() else stage.config, stage.initialise, stage.data, stage.options
        )
    return stages


@dataclass
class Given:
    """The options of a command line that trains a family, apart.

    Attributes:
        output: folder of the family.
        common: those of all stages that have the key, in their order.
        own: those of one stage, by its name.
        train: prepared folders that were given for training; None for anything else.
        strangers: prepared folders of talkers that the visual component is not to meet.
    """

    output: Path
    common: list[tuple[str, str]] = field(default_factory=list)
    own: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    train: list[str] | None = None
    strangers: list[str] = field(default_factory=list)


def take_apart(arguments: Sequence[str], stages: Mapping[str, Stage], output: Path = Path("runs/family")) -> Given:
    """Sort what was typed.

    Args:
        arguments: of the command line.
        stages: of the family.
        output: the folder where none is given.

    Raises:
        UserError: it is no option, has no value, or is of a stage that there is not.
    """
    given, parts = Given(output), iter(arguments)
    for part in parts:
        option, sign, value = part.removeprefix("--").partition("=")
        if not part.startswith("--") or not option:
            raise UserError(f"{shown(part)} is no option of a family: options are --KEY VALUE.")
        if not sign and (value := next(parts, "")) == "":
            raise UserError(f"--{option} has no value.")
        folders = _folders(value)
        if option == "config":
            continue
        if option == "output":
            given.output = Path(value)
        elif option == "data.train" and folders is not None:
            given.train = folders
        elif option == "data.strangers":
            if folders is None:
                raise UserError(f"data.strangers are prepared folders, such as [{value or 'FOLDER'}].")
            given.strangers = folders
        elif option.startswith("stages."):
            stage, _, key = option.removeprefix("stages.").partition(".")
            if stage not in stages or not key:
                raise UserError(f"there is no --{option}: stages are {', '.join(stages)}, --stages.NAME.KEY VALUE.")
            given.own.setdefault(stage, []).append((key, value))
        else:
            given.common.append((option, value))
    return given


def _folders(value: str) -> list[str] | None:
    try:
        found = yaml.safe_load(value)
    except yaml.YAMLError:
        return None
    return [str(one) for one in found] if isinstance(found, list) and found else None


def arguments_of(stages: Mapping[str, Stage], given: Given) -> dict[str, list[str]]:
    """What ``minvae train`` is told, by stage; each is read once, so that a mistake comes before hours of work.

    Args:
        stages: of the family.
        given: what was typed.

    Raises:
        UserError: an option is wrong, or no stage has it.
    """
    result, used = {}, set()
    for name, stage in stages.items():
        with about(f"stage {name}"):
            start = {path: _weights(str(source), stages, given.output) for path, source in stage.initialise.items()}
            told = ["--config", stage.config, *_typed({"initialise": start} if start else {}), *_typed(stage.options)]
            if given.train is not None:
                told += _typed({"data.train": given.train})
            chosen = [(key, value) for key, value in given.common if key.startswith(("data.train", "data.validation"))]
            told += [f"--{key}={value}" for key, value in chosen]
            plain = as_plain(read_configuration(told))
            taken = [key for key, _ in chosen]
            for key, value in given.common:
                if key not in taken and _has(plain, key, taken):
                    taken.append(key)
                    told.append(f"--{key}={value}")
            used.update(taken)
            told += [f"--{key}={value}" for key, value in given.own.get(name, [])]
            result[name] = [*told, f"--output={given.output / name}"]
            read_configuration(result[name])
    if lost := [key for key, _ in given.common if key not in used]:
        raise UserError(f"no stage has --{lost[0]}: see minvae train --help, or --stages.NAME.KEY for one stage alone.")
    return result


def weights_of(stage: str, output: Path) -> Path:
    """The checkpoint that a stage leaves."""
    return output / stage / "weights.safetensors"


def _weights(source: str, stages: Mapping[str, Stage], output: Path) -> str:
    begun, sign, path = source.partition("#")
    return f"{weights_of(begun, output)}{sign}{path}" if begun in stages else source


def _typed(options: Mapping[str, Any]) -> list[str]:
    return [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in options.items()]


def _has(plain: Any, key: str, taken: Sequence[str]) -> bool:
    """Whether a configuration has a key, as it is or by what was typed before: arguments of a class, say."""
    if any(key.startswith(f"{one}.") for one in taken):
        return True
    for part in key.split("."):
        if part == "init_args":
            continue
        if not isinstance(plain, Mapping):
            return False
        arguments = plain.get("init_args") or {}
        if part not in plain and part not in arguments:
            return False
        plain = plain[part] if part in plain else arguments[part]
    return True
