"""What the benchmarks share: mixtures built once, a bar, how a command ends, names of files, tables in Markdown."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.mixtures import Mixture, read_mixtures
from minvae_pyro.files import digest_of


@functools.cache
def built(table: Path) -> tuple[list[Mixture], list[tuple[Tensor, Tensor]]]:
    """The mixtures of a table, and the noisy and the clean sound of each."""
    mixtures = read_mixtures(table)
    return mixtures, [mixture.build() for mixture in mixtures]


def progress_bar() -> Progress:
    """A bar on stderr with counts and times."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))


def answer(work: Callable[[], str]) -> int:
    """Print what a benchmark returns.

    Returns:
        0 when all is measured, 2 with one line on stderr when something that was given cannot be used.
    """
    try:
        print(work())
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def fingerprint(*files: Path) -> str:
    """A few letters that change with the content of the files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(bytes.fromhex(digest_of(file)))
    return digest.hexdigest()[:10]


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], names: int = 2) -> str:
    """A Markdown table; all columns but the first ``names`` are aligned to the right."""
    rule = ["---" if column < names else "--:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows])
