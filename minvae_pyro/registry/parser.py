"""Parsers whose options are classes: named, typed, and explained in a few lines."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

import jsonargparse

# the defaults of enhancement that a checkpoint keeps describe classes, and are to stay descriptions
jsonargparse.set_parsing_settings(instantiate_subclass_spec_in_any=False)


class Help(jsonargparse.DefaultHelpFormatter):
    """Help that lists the classes of this package where a class is asked for."""

    def _get_help_string(self, action: argparse.Action) -> str:
        # found when asked for: the catalogue itself needs parsers
        catalogue = importlib.import_module("minvae_pyro.catalogue")
        known = getattr(action, "extra_help", str)().removeprefix(", known subclasses: ")
        if not known or not action.help:
            return super()._get_help_string(action)
        classes = {path.rpartition(".")[2] for path in known.split(", ")}
        names = catalogue.choices(self._prog, action.dest, lambda target: target.__name__ in classes)
        return f"{action.help} ({', '.join(names)})" if names else action.help


class Parser(jsonargparse.ArgumentParser):
    """A parser that raises what is wrong. Without ``prog`` it is the one that explains a single class.

    Args:
        prog: the command.
        **options: as of ``jsonargparse.ArgumentParser``.
    """

    def __init__(self, *, prog: str | None = None, **options: Any) -> None:
        usual = {"exit_on_error": False, "formatter_class": Help, "allow_abbrev": False}
        if prog is None:
            usual["usage"] = argparse.SUPPRESS
        super().__init__(prog=prog, **{**usual, **options})

    def add_class(self, base: type, key: str, title: str, required: bool = False) -> None:
        """Ask for a class by ``--KEY``, for its arguments by ``--KEY.ARGUMENT``, for its help by ``--KEY.help``.

        Args:
            base: what the class must derive from.
            key: its key.
            title: what it is.
            required: whether it must be given.
        """
        self.add_subclass_arguments(
            base,
            key,
            required=required,
            metavar="CLASS",
            help=f"name or import path of a class; its arguments are --{key}.ARGUMENT, see --{key}.help CLASS",
        )
        assert self.groups is not None
        self.groups[key].title = title
