"""The parser behind configurations and command lines: jsonargparse, with its complaints in one line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jsonargparse

from minvae_pyro.errors import UserError
from minvae_pyro.registry.command_line import descriptions
from minvae_pyro.registry.messages import Place, check, plain
from minvae_pyro.registry.names import look_here_too, parameters

# the defaults of enhancement that a checkpoint keeps describe classes, and are to stay descriptions
jsonargparse.set_parsing_settings(instantiate_subclass_spec_in_any=False)

MISTAKES = (jsonargparse.ArgumentError, TypeError, ValueError)
"""What jsonargparse raises for a wrong value."""


TRUST_HELP = (
    "a module of your own, whose classes a checkpoint may name; it is imported. May be given several times. Without it "
    "nothing runs that a checkpoint brings along"
)
"""What ``--trust`` does."""


class Help(jsonargparse.DefaultHelpFormatter):
    """Help that lists the classes of this package where a class is asked for."""

    def _get_help_string(self, action: argparse.Action) -> str:
        hint = getattr(action, "_typehint", None) if hasattr(action, "extra_help") else None
        if names := Place(action.dest, hint).names:
            return f"{action.help or ''} ({', '.join(names)})".strip()
        if action.help and action.metavar and action.default is None:
            return action.help  # the metavar says what is asked for
        return super()._get_help_string(action)


class Parser(jsonargparse.ArgumentParser):
    """A parser that raises what is wrong. Without ``prog`` it is the one that explains a single class.

    Args:
        prog: the command.
        **options: as of ``jsonargparse.ArgumentParser``.

    Attributes:
        places: where classes are asked for, by their keys.
    """

    def __init__(self, *, prog: str | None = None, **options: Any) -> None:
        usual = {"exit_on_error": False, "formatter_class": Help, "allow_abbrev": False}
        if prog is None:
            usual["usage"] = argparse.SUPPRESS
        super().__init__(prog=prog, **{**usual, **options})
        self.places: dict[str, Place] = {}

    def add_class(self, base: type, key: str, title: str, required: bool = False) -> None:
        """Ask for a class below ``base``: ``--KEY CLASS --KEY.ARGUMENT VALUE``, where ``--KEY.help CLASS`` explains it.

        In the help of the command these options stand under ``title``.
        """
        self.places[key] = Place(key, base, required)
        self.add_subclass_arguments(
            base,
            key,
            required=required,
            fail_untyped=False,
            metavar="CLASS",
            help=f"name or import path of a class; its arguments are --{key}.ARGUMENT, see --{key}.help CLASS",
        )
        assert self.groups is not None
        self.groups[key].title = title

    def add_trust(self) -> None:
        """Ask for modules whose classes a checkpoint may name, ``--trust MODULE``, which may be given several times."""
        self.add_argument("--trust", type=list[str], default=[], metavar="MODULE", help=TRUST_HELP)

    def add_settings(self, found: type, key: str, skip: set[str] | None = None) -> None:
        """Ask for the arguments of one class by ``--KEY.ARGUMENT``, some of which may be classes again."""
        self.add_class_arguments(found, key, skip=skip, fail_untyped=False)
        for name, one in parameters(found).items():
            place = Place(f"{key}.{name}", one.annotation, one.default is one.empty)
            if place.bases and name not in (skip or ()):
                self.places[place.key] = place

    def read(self, arguments: Sequence[str]) -> jsonargparse.Namespace:
        """Parse a command line.

        Raises:
            UserError: what is wrong with it.
        """
        if self.places:  # classes of the user's own may be named, which jsonargparse imports
            look_here_too()
        # a list takes one more by the sign +
        typed = [re.sub(r"^--trust(?==|$)", "--trust+", one) for one in arguments]
        return self._read(lambda: self.parse_args(typed), lambda: descriptions(arguments, self.places))

    def read_object(self, given: Mapping[str, Any]) -> jsonargparse.Namespace:
        """Parse what a file describes.

        Raises:
            UserError: what is wrong with it.
        """
        return self._read(lambda: self.parse_object(dict(given)), lambda: given)

    def _read(self, parse: Any, given: Any) -> jsonargparse.Namespace:
        try:
            parsed: jsonargparse.Namespace = parse()
        except Exception as error:
            self._explain(given())
            if isinstance(error, MISTAKES):
                raise UserError(f"{plain(str(error))}.") from error
            raise
        for key, place in self.places.items():
            value = parsed.get(key)
            check(value.as_dict() if isinstance(value, jsonargparse.Namespace) else value, place)
        return parsed

    def _explain(self, given: Mapping[str, Any]) -> None:
        missing = [place for key, place in self.places.items() if place.required and given.get(key) is None]
        for key, described in given.items():
            if key in self.places:
                check(described, self.places[key])
        if missing:
            lines = [f"--{one.key} is missing." + ("" if "." in one.key else f" {one.choice()}") for one in missing]
            raise UserError(" ".join(lines))
