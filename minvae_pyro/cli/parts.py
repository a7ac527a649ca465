"""The options of ``minvae enhance`` that are classes: engine, noise model, and guide at test time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from minvae_pyro.errors import UserError

PARTS = ("engine", "noise", "guide")
"""Keys of the options that are classes."""


def with_configuration(arguments: Sequence[str]) -> list[str]:
    """The arguments with those of ``--config FILE`` in front, so that what is typed wins.

    Args:
        arguments: of the command line.

    Raises:
        UserError: the file is missing or no mapping in YAML.
    """
    rest: list[str] = []
    given: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--config" or word.startswith("--config="):
            given += _read(Path(word.partition("=")[2] or next(words, "")))
        else:
            rest.append(word)
    return given + rest


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Options that are classes, and the other arguments: the former need torch, so the latter are read first."""
    parts: list[str] = []
    rest: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not _is_part(word):
            rest.append(word)
            continue
        parts.append(word)
        if "=" not in word and words and not words[0].startswith("--"):
            parts.append(words.pop(0))
    return parts, rest


def read_parts(words: Sequence[str], checkpoint: str) -> dict[str, Any]:
    """Descriptions of the parts that are given, each checked by making it once.

    Args:
        words: as :func:`split` gives them.
        checkpoint: its choice is meant where arguments are given without a class.

    Returns:
        dict: a name or description for ``engine``, ``noise`` and ``guide`` as far as given.

    Raises:
        UserError: no such class, or arguments that it does not take; told with the right ones.
        SystemExit: after the help of a class.
    """
    import jsonargparse

    from minvae_pyro.guides import UtteranceGuide
    from minvae_pyro.inference import InferenceEngine
    from minvae_pyro.inference.settings import ENGINES
    from minvae_pyro.models import NoiseModel
    from minvae_pyro.registry.build import make
    from minvae_pyro.registry.messages import explain, imported
    from minvae_pyro.registry.parser import Parser

    bases = {"engine": InferenceEngine, "noise": NoiseModel, "guide": UtteranceGuide}
    parser = Parser(prog="minvae enhance")
    for key, base in bases.items():
        parser.add_class(base, key, key)
    classes = {name: engine.__name__ for name, engine in ENGINES.items()}
    try:
        parsed = parser.parse_args(_in_full([*_defaults(words, checkpoint), *words], classes))
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise UserError(explain(error, "minvae enhance")) from error
    short = {engine: name for name, engine in ENGINES.items()}
    parts = {}
    for key in PARTS:
        if parsed[key] is None:
            continue
        described = parsed[key].as_dict()
        described["class_path"] = short.get(imported(described["class_path"]), described["class_path"])
        make(bases[key], described, key, ENGINES if key == "engine" else None)
        parts[key] = described
    return parts


def _is_part(word: str) -> bool:
    return word.startswith("--") and word[2:].partition("=")[0].partition(".")[0] in PARTS


def _read(path: Path) -> list[str]:
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the configuration {path}: {error}") from error
    if not isinstance(settings, dict):
        raise UserError(f"the configuration {path} must be options with their values, such as `engine: vem`.")
    words = []
    for key, value in settings.items():
        if value is True:
            words.append(f"--{key}")
        elif value is not None and value is not False:
            words.append(f"--{key}={json.dumps(value) if isinstance(value, dict) else value}")
    return words


def _defaults(words: Sequence[str], checkpoint: str) -> list[str]:
    """The class of each part whose arguments are given without it."""
    first = {word[2:].partition("=")[0].partition(".")[0]: word for word in reversed(words) if _is_part(word)}
    bare = [key for key, word in first.items() if word.startswith(f"--{key}.") and not word.startswith(f"--{key}.help")]
    if not bare:
        return []
    from minvae_pyro.checkpoints.checkpoint import describe
    from minvae_pyro.inference import Settings

    usual = Settings.choose(describe(checkpoint)["enhancement"])
    chosen: dict[str, Any] = {"engine": usual.engine, "noise": usual.noise, "guide": usual.guide}
    return [f"--{key}={json.dumps(chosen[key]) if isinstance(chosen[key], dict) else chosen[key]}" for key in bare]


def _in_full(words: Sequence[str], classes: dict[str, str]) -> list[str]:
    """The words with the names of classes for the short names of engines."""
    full = list(words)
    for number, word in enumerate(full):
        if word in {"--engine", "--engine.help"} and number + 1 < len(full):
            full[number + 1] = classes.get(full[number + 1], full[number + 1])
        option, sign, value = word.partition("=")
        if option in {"--engine", "--engine.help"} and sign:
            described = yaml.safe_load(value)
            if isinstance(described, dict) and described.get("class_path") in classes:
                value = json.dumps({**described, "class_path": classes[described["class_path"]]})
            full[number] = f"{option}={classes.get(value, value)}"
    return full
