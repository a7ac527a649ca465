"""One progress bar on standard error; where nobody watches, a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from minvae_pyro.cli.console import tell

_FIRST, _LATER = 10.0, 60.0  # seconds until a first line, and from one to the next

Report = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done, and how many there are (0: unknown)."""


@contextmanager
def bar(command: str, *, counted: bool = False, sound: bool = False) -> Iterator[Report]:
    """Show what is being done; where standard error is no terminal, by lines of which quick work has none.

    Args:
        command: shown until the first report.
        counted: show the number of steps as well.
        sound: steps are seconds of sound: show how many are done a second.

    Yields:
        What to call.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(command, sound)
        return
    count = [MofNCompleteColumn()] if counted else []
    times: list[ProgressColumn] = [_Rate()] if sound else [TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(TextColumn("{task.description}"), BarColumn(), *count, *times, console=console, transient=True) as on:
        task = on.add_task(command, total=None)
        clock = _Clock()

        def report(what: str, done: int, total: int) -> None:
            clock.see(done, total)
            on.update(task, description=what, completed=done, total=total or None, clock=clock)

        yield report


@dataclass
class _Clock:
    """How fast steps of one kind are done, from the first report of them on."""

    done: int = 0
    total: int = 0
    first: int = 0
    began: float = field(default_factory=time.monotonic)

    def see(self, done: int, total: int) -> None:
        if total != self.total or done < self.done:
            self.first, self.total, self.began = done, total, time.monotonic()
        self.done = done

    @property
    def rate(self) -> float:
        """Steps a second; 0 where nobody knows."""
        return (self.done - self.first) / max(time.monotonic() - self.began, 1e-3)

    def left(self) -> str:
        """Time that is left, in words; empty where nobody knows."""
        if not self.total or self.rate <= 0:
            return ""
        seconds = round((self.total - self.done) / self.rate)
        hours, minutes = seconds // 3600, seconds // 60 % 60
        return f"{hours}:{minutes:02}:{seconds % 60:02} left" if hours else f"{minutes}:{seconds % 60:02} left"


class _Rate(ProgressColumn):
    """Seconds of sound a second, and the time that is left."""

    def render(self, task: Task) -> Text:
        clock: _Clock = task.fields.get("clock") or _Clock()
        return Text(_speed(clock))


def _speed(clock: _Clock) -> str:
    return ", ".join(filter(None, [f"{clock.rate:.1f} s of sound a second" if clock.rate > 0 else "", clock.left()]))


class _Lines:
    """A line of what is being done, after some seconds and then once a minute."""

    def __init__(self, command: str, sound: bool) -> None:
        self._what, self._sound = command, sound
        self._clock = _Clock()
        self._due = time.monotonic() + _FIRST

    def __call__(self, what: str, done: int, total: int) -> None:
        self._clock.see(done, total)
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _LATER
        unit = " s of sound" if self._sound else ""
        steps = f"{done} of {total}{unit}" if total else ""
        times = _speed(self._clock) if self._sound else self._clock.left()
        tell(", ".join(filter(None, [what, steps, times])))
