"""One progress bar on standard error, and none where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def bar(command: str, *, counted: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show what is being done.

    Args:
        command: shown until the first report.
        counted: show the number of steps as well.

    Yields:
        To be called with what is being done, how many steps are done, and how many there are (0: unknown).
    """
    count = [MofNCompleteColumn()] if counted else []
    columns = TextColumn("{task.description}"), BarColumn(), *count, TimeElapsedColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(command, total=None)
        yield lambda what, done, total: shown.update(task, description=what, completed=done, total=total or None)
