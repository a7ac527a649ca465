"""``minvae list``: what can be named on the command line and in configurations."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from minvae_pyro.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog="minvae list",
        description="Show what can be named: priors, guides, noise models, their parts, engines, configurations, "
        "checkpoints, ready-made ablations, each with its paper.",
    )
    parser.add_argument("kind", nargs="?", metavar="KIND", help="of one kind only, such as priors (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object: for each kind, a list")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0.

    Raises:
        UserError: there is no such kind.
    """
    given = parser().parse_args(arguments)
    # only now wait for torch: help has come at once
    from minvae_pyro.catalogue import FILES, KINDS, catalogue

    there = catalogue()
    if given.kind is not None and given.kind not in there:
        raise UserError(f"there is no kind {given.kind!r}: choose {', '.join(there)}.")
    shown = there if given.kind is None else {given.kind: there[given.kind]}
    if given.json:
        print(
            json.dumps(
                {
                    kind: [{"name": e.name, "path": e.path, "summary": e.summary, "paper": e.paper} for e in entries]
                    for kind, entries in shown.items()
                }
            )
        )
        return 0
    console = Console()
    for kind, entries in shown.items():
        title, option = FILES[kind] if kind in FILES else (KINDS[kind].title, KINDS[kind].option)
        table = Table(
            title=f"[bold]{kind}[/]: {title}  [dim]minvae {option}[/]",
            title_justify="left",
            title_style="",
            box=box.SIMPLE_HEAD,
            show_header=False,
            pad_edge=False,
        )
        table.add_column(no_wrap=True, style="bold")
        table.add_column(ratio=1)
        table.add_column(no_wrap=True, style="dim")
        for entry in entries:
            table.add_row(entry.name, entry.summary.replace("[", r"\["), entry.paper)
        console.print(table)
    console.print(
        "Your own classes can be named as well, by their import path: --prior my_package.MyPrior\n"
        "`minvae train --prior.help CLASS` and `minvae enhance --noise.help CLASS` tell the arguments of a class.",
        highlight=False,
        markup=False,
    )
    return 0
