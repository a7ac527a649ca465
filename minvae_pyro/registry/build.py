"""Models and guides from their description: a class and its arguments, nested as in a configuration file."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import jsonargparse
from torch import nn

from minvae_pyro.errors import UserError
from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.models import SpeechPrior
from minvae_pyro.registry.admission import Trust, admit
from minvae_pyro.registry.messages import check, plain
from minvae_pyro.registry.names import Description, T, choice, find, needed, offered, parameters, shortened
from minvae_pyro.registry.parser import MISTAKES, Parser


def add_description(parser: Parser) -> None:
    """Add the keys ``prior``, ``guide`` and ``tie`` of a description to a parser.

    A guide that takes the prior as an argument named ``prior`` gets it.
    """
    parser.add_class(SpeechPrior, "prior", "speech prior", required=True)
    parser.add_class(TrainingGuide, "guide", "its guide for training", required=True)
    parser.add_argument(
        "--tie",
        type=dict[str, str],
        default={},
        help="submodules that are one and the same, e.g. {guide.visual.encoder: guide.audio.encoder}",
    )
    parser.link_arguments("prior", "guide.init_args.prior", apply_on="instantiate")


@functools.cache
def _parser() -> Parser:
    parser = Parser()
    add_description(parser)
    return parser


def _parsed(description: Mapping[str, Any], trust: Trust | None) -> jsonargparse.Namespace:
    places = _parser().places
    try:
        # every class is looked up here first: nothing is called that does not derive from the base class of its place,
        # and for a file nothing is imported either
        if trust is None:
            given = {key: check(description.get(key), places[key]) for key in places}
        else:
            given = {key: admit(description.get(key), places[key], trust) for key in places}
        parsed = _parser().read_object({**given, "tie": description.get("tie") or {}})
        check_classes(parsed)
        return parsed
    except UserError as error:
        raise UserError(f"the description of prior and guide is wrong: {error}") from error


def complete(description: Mapping[str, Any], trust: Trust | None = None) -> dict[str, Any]:
    """The description with every default argument written out; classes of this package have their short names.

    Args:
        description: ``prior`` and ``guide``, each with ``class_path`` and perhaps ``init_args``, and perhaps ``tie``.
        trust: of a description that a file holds, the modules that may be named besides those of this package; None
            for one that the user gave, who may name any.

    Raises:
        UserError: a class that cannot be imported or does not fit its place, or arguments it does not take.
    """
    return as_plain(_parser(), _parsed(description, trust))


def as_plain(parser: Parser, parsed: jsonargparse.Namespace) -> dict[str, Any]:
    """What was parsed as nested dictionaries, with every default; classes of this package have their short names."""
    return dict(shortened(json.loads(parser.dump(parsed, format="json", skip_unset=False))))


def check_classes(parsed: jsonargparse.Namespace) -> None:
    """Refuse a guide that is made for other priors.

    Args:
        parsed: has ``prior`` and ``guide``, each with ``class_path``.

    Raises:
        UserError: with the guides that there are.
    """
    prior = find(parsed.prior.class_path, (SpeechPrior,), "prior")
    guide = find(parsed.guide.class_path, (TrainingGuide,), "guide")
    asked = _asked(guide)
    if not issubclass(prior, asked):
        raise UserError(
            f"{guide.__name__} is a guide for {asked.__name__}, which {prior.__name__} is not. {guides_for(prior)}"
        )


def guides_for(prior: type, besides: type | None = None) -> str:
    """The advice to choose one of the guides whose argument ``prior`` may be of this class.

    Args:
        prior: class of the prior.
        besides: the guide that has turned out not to fit; its relatives sample the same sites.
    """
    return choice(
        name
        for name, guide in offered(TrainingGuide).items()  # type: ignore[type-abstract]
        if issubclass(prior, _asked(guide))
        and not (besides and (issubclass(guide, besides) or issubclass(besides, guide)))
    )


def _asked(guide: type) -> type:
    """The priors that a guide is made for."""
    argument = parameters(guide).get("prior")
    return argument.annotation if argument and isinstance(argument.annotation, type) else SpeechPrior


def build(description: Mapping[str, Any], trust: Trust | None = None) -> tuple[SpeechPrior, TrainingGuide]:
    """Make a prior and its guide, with fresh weights.

    Args:
        description: as in :func:`complete`.
        trust: as in :func:`complete`.

    Raises:
        UserError: as :func:`complete`, or ``tie`` names a submodule that is not there.
    """
    parsed = _parsed(description, trust)
    try:
        made = _parser().instantiate(parsed)
    except MISTAKES as error:
        raise UserError(f"prior and guide cannot be made: {plain(str(error))}.") from error
    tie(made.prior, made.guide, made.tie)
    return made.prior, made.guide


def tie(prior: nn.Module, guide: nn.Module, same: Mapping[str, str]) -> None:
    """Put for every path on the left of ``same`` the very submodule on its right.

    Raises:
        UserError: a path that is not there.
    """
    whole = together(prior, guide)
    for one, other in same.items():
        submodule(whole, one)
        parent, _, name = one.rpartition(".")
        setattr(submodule(whole, parent), name, submodule(whole, other))


def together(prior: nn.Module, guide: nn.Module) -> nn.ModuleDict:
    """Model and guide under the names by which configurations address their submodules."""
    return nn.ModuleDict({"prior": prior, "guide": guide})


def submodule(whole: nn.Module, path: str) -> nn.Module:
    """The submodule at a dotted path such as ``prior.decoder``.

    Raises:
        UserError: there is none, with the names of those that are there.
    """
    found = whole
    for depth, name in enumerate(path.split(".")):
        children = dict(found.named_children())
        if name not in children:
            above = ".".join(path.split(".")[:depth])
            raise UserError(
                f"there is no submodule {path!r}; {above or 'the whole'} has {', '.join(children) or 'none'}."
            )
        found = children[name]
    return found


def make(base: type[T], described: Description | T, what: str, short: Mapping[str, type[T]] | None = None) -> T:
    """The part that is described, made with its arguments checked against their types.

    Args:
        base: what the part must be.
        described: a name, a description, or the part itself, which is returned as it is.
        what: what it is, for the message.
        short: names besides those of the subclasses of ``base``.

    Raises:
        UserError: no such class, or arguments that it does not take.

    Example:
        >>> from minvae_pyro.models import NMFNoise, NoiseModel
        >>> described = {"class_path": "NMFNoise", "init_args": {"rank": 8}}
        >>> make(NoiseModel, described, "noise model").rank
        8
        >>> make(NoiseModel, NMFNoise(3), "noise model").rank
        3
    """
    if isinstance(described, base):
        return described
    if isinstance(described, str):
        described = {"class_path": described}
    if not isinstance(described, Mapping) or not isinstance(described.get("class_path"), str):
        raise UserError(f"the {what} is described by a name, or by class_path and perhaps init_args.")
    found = find(described["class_path"], (base,), what, short)
    if not isinstance(given := described.get("init_args") or {}, Mapping):
        raise UserError(f"the {what} {found.__name__} needs a mapping of arguments as init_args.")
    arguments = dict(given)
    try:
        if missing := [name for name in needed(found) if name not in arguments]:
            raise ValueError(f"it needs {', '.join(missing)}")
        if not arguments:
            return found()  # a parser takes milliseconds to make
        parser = Parser()
        parser.add_class_arguments(found, "part", fail_untyped=False)
        made: T = parser.instantiate(parser.parse_object({"part": arguments})).part
        return made
    except MISTAKES as error:
        names = ", ".join(parameters(found)) or "none"
        reason = plain(str(error)).removeprefix("part.")
        raise UserError(f"the {what} {found.__name__} cannot be made ({reason}). Its arguments: {names}.") from error
