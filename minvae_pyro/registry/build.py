"""Models and guides from their description: a class and its arguments, nested as in a configuration file."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any, get_type_hints

import jsonargparse
from pyro.nn import PyroModule
from torch import nn

import minvae_pyro.nn.audio  # noqa: F401
from minvae_pyro.errors import UserError
from minvae_pyro.models import SpeechPrior
from minvae_pyro.registry.messages import Place, explain, imported
from minvae_pyro.registry.names import Description, T, _is_concrete, resolve, subclasses
from minvae_pyro.registry.parser import Parser


def add_description(parser: Parser) -> None:
    """Add the keys ``prior``, ``guide`` and ``tie`` of a description to a parser.

    A guide that takes the prior as an argument named ``prior`` gets it.
    """
    parser.add_class(SpeechPrior, "prior", "speech prior", required=True)
    parser.add_class(PyroModule, "guide", "its guide for training", required=True)
    parser.add_argument(
        "--tie",
        type=dict[str, str],
        default={},
        help="submodules that are one and the same, e.g. {guide.visual.encoder: guide.audio.encoder}",
    )
    parser.link_arguments("prior", "guide.init_args.prior", apply_on="instantiate")


def _parser() -> Parser:
    parser = Parser()
    add_description(parser)
    return parser


def complete(description: Mapping[str, Any]) -> dict[str, Any]:
    """The description with full class names and every default argument written out.

    Args:
        description: ``prior`` and ``guide``, each with ``class_path`` and perhaps ``init_args``, and perhaps
            ``tie``.

    Raises:
        UserError: a class that cannot be imported or does not fit its place, or arguments it does not take.
    """
    parser = _parser()
    try:
        parsed = parser.parse_object({key: description[key] for key in ("prior", "guide", "tie") if key in description})
        check_classes(parsed)
        return dict(json.loads(parser.dump(parsed, format="json", skip_unset=False)))
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise UserError(f"the description of prior and guide is wrong: {explain(error)}") from error


def check_classes(parsed: jsonargparse.Namespace) -> None:
    """Refuse a prior or guide that leaves its work to subclasses, and a guide of another kind or for another prior.

    Args:
        parsed: has ``prior`` and ``guide``, each with ``class_path``.

    Raises:
        UserError: told with the classes that there are.
    """
    prior, guide = (imported(parsed[key].class_path) for key in ("prior", "guide"))
    if prior is SpeechPrior:
        raise UserError(f"SpeechPrior is what priors derive from: {Place('minvae train', 'prior').choice()}.")
    lacking = [name for name in ("forward", "encode_audio", "encode_visual", "gate_logits") if not hasattr(guide, name)]
    if lacking or issubclass(guide, SpeechPrior):
        why = f"lacks {', '.join(lacking)}" if lacking else "is a prior"
        raise UserError(f"{guide.__name__} is no guide for training, it {why}: {guides_for(prior)}.")
    if not _takes(guide, prior):
        asked = _asked(guide).__name__
        raise UserError(f"{guide.__name__} is a guide for {asked}, which {prior.__name__} is not: {guides_for(prior)}.")


def guides_for(prior: type, besides: type | None = None) -> str:
    """The advice to choose one of the guides whose argument ``prior`` may be of this class.

    Args:
        prior: class of the prior.
        besides: the guide that has turned out not to fit; its relatives sample the same sites.
    """

    def fits(guide: type) -> bool:
        related = besides is not None and (issubclass(guide, besides) or issubclass(besides, guide))
        return _takes(guide, prior) and not related

    return Place("minvae train", "guide").choice(fits)


def _takes(guide: type, prior: type) -> bool:
    return issubclass(prior, _asked(guide))


def _asked(guide: Any) -> type:
    return get_type_hints(guide.__init__).get("prior", SpeechPrior)


def build(description: Mapping[str, Any]) -> tuple[SpeechPrior, PyroModule]:
    """Make a prior and its guide, with fresh weights.

    Args:
        description: as in :func:`complete`.

    Raises:
        UserError: as :func:`complete`, or ``tie`` names a submodule that is not there.
    """
    parser = _parser()
    try:
        made = parser.instantiate(parser.parse_object(complete(description)))
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise UserError(f"prior and guide cannot be made: {explain(error)}") from error
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
        >>> make(NoiseModel, {"class_path": "NMFNoise", "init_args": {"rank": 8}}, "noise model").rank
        8
        >>> make(NoiseModel, NMFNoise(3), "noise model").rank
        3
    """
    if isinstance(described, base):
        return described
    if isinstance(described, str):
        described = {"class_path": described}
    assert isinstance(described, Mapping)
    known = {**(short or {}), **subclasses(base)}
    found = resolve(described["class_path"], known, lambda one: _is_concrete(one, base), what)
    arguments = dict(described.get("init_args") or {})
    needed = any(one.default is one.empty for one in inspect.signature(found).parameters.values())
    try:
        if not arguments and not needed:
            return found()  # there is nothing to check, and making a parser takes milliseconds
        parser = Parser()
        parser.add_class_arguments(found, "part")
        given = parser.parse_object({"part": arguments})
        made: T = parser.instantiate(given).part
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        names = ", ".join(inspect.signature(found).parameters) or "none"
        raise UserError(
            f"the {what} {found.__name__} cannot be made ({explain(error)}). Its arguments: {names}."
        ) from error
    return made
