"""A family trained: its stages after each other, each where it was left, none that is done already."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from minvae_pyro.checkpoints.checkpoint import checkpoint_file
from minvae_pyro.errors import UserError, about
from minvae_pyro.files import digest_of, make_folder, write_atomic
from minvae_pyro.training.configuration import read_configuration
from minvae_pyro.training.roles import divided, weighed
from minvae_pyro.training.run import train_as
from minvae_pyro.training.stages import Stage, arguments_of, family_file, read_family, take_apart, weights_of
from minvae_pyro.training.trainer import agreed, is_first

_RECORD = "family.json"
_VIEWS = "talkers"


def train_family(arguments: Sequence[str], note: Callable[[str], None]) -> Path:
    """Train the stages of a family, or go on where it was interrupted, and return the weights of the last one.

    Each has a folder of its name in that of the family. One whose beginning has changed is trained anew: more epochs
    for an early stage are for those after it as well.

    Args:
        arguments: those of ``minvae train``. What is given goes to all stages that have the key,
            ``--stages.NAME.KEY VALUE`` to one. ``--data.train`` is shared out among the stages by the roles of the
            family; ``--data.strangers`` are talkers that the visual component is not to meet.
        note: told which stage is next, and what could not be done well.

    Raises:
        UserError: family, options, data or folder cannot be used, or training diverged.
        KeyboardInterrupt: interrupted; the same call goes on.
    """
    file = family_file(arguments)
    if file is None:
        raise UserError("no family is given: name one by --config.")
    stages = read_family(file)
    given = take_apart(arguments, stages, Path("runs") / file.stem)
    told = arguments_of(stages, given)
    _claim(given.output)
    if given.train is not None:
        roles = divided(given.train, given.strangers, given.output / _VIEWS, note if is_first() else _silent)
        for name, stage in stages.items():
            if not any(key == "data.train" for key, _ in given.own.get(name, [])):
                told[name].append(f"--data.train={json.dumps(weighed(roles, stage.data, name))}")
    elif given.strangers:
        raise UserError("data.strangers need prepared folders as --data.train.")
    for number, (name, stage) in enumerate(stages.items(), start=1):
        starts = _starts(stage, stages, given.output)
        anew = agreed(functools.partial(_has_changed, given.output, name, starts))
        if is_first():
            again = ", anew: what it begins with has changed" if anew else ""
            note(f"stage {number} of {len(stages)}: {name}{again}")
        try:
            with about(f"stage {name}"):
                train_as(read_configuration([*told[name], *(["--resume=never"] if anew else [])]))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"the same command goes on with stage {name}") from None
    return weights_of(list(stages)[-1], given.output)


def _silent(text: str) -> None:
    pass


def _claim(output: Path) -> None:
    """Refuse a folder that holds something else."""
    found = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if is_first() and found - {_VIEWS} and _RECORD not in found:
        raise UserError(f"{output} is not empty and holds no family: choose another --output.")


def _starts(stage: Stage, stages: Mapping[str, Stage], output: Path) -> dict[str, str]:
    """Fingerprints of what a stage begins with."""
    sources = {str(source).partition("#")[0] for source in stage.initialise.values()}
    files = {one: weights_of(one, output) if one in stages else checkpoint_file(one) for one in sorted(sources)}
    return {source: digest_of(file) for source, file in files.items()}


def _has_changed(output: Path, name: str, starts: Mapping[str, str]) -> bool:
    """Whether a stage that was begun has begun with something else; what it begins with now is written down."""
    path = output / _RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        before = record.get(name)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: remove it, and the stages go on where they are.") from error
    if is_first() and before != starts:
        make_folder(output)
        write_atomic(path, json.dumps({**record, name: starts}, indent=2).encode(), overwrite=True)
    return before is not None and before != starts
