"""What a command says: lines that no name can break, to streams that may be closed, full or narrow."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from minvae_pyro.errors import UserError

_NOTES = 10  # that are told one by one


class CommandParser(argparse.ArgumentParser):
    """A parser that raises what is wrong, for one line, where argparse would print its usage."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments.

        Raises:
            UserError: always.
        """
        raise UserError(f"{message}; see {self.prog} --help.")


def add_tracks(parser: argparse._ActionsContainer, files: str) -> None:
    """Add ``--audio-track`` and ``--video-track`` of ``files``."""
    for kind, what in (("audio", "sound"), ("video", "video")):
        parser.add_argument(
            f"--{kind}-track",
            type=int,
            metavar="N",
            help=f"which {what} track of {files}, if there are several, counted from 1 (default: the file's default)",
        )


def few_notes(notes: Sequence[str]) -> list[str]:
    """A line for each note, as long as they are few.

    Example:
        >>> few_notes([f"clip {number}" for number in range(12)])[-2:]
        ['note: clip 9', 'note: and 2 more']
    """
    more = [f"note: and {len(notes) - _NOTES} more"] if len(notes) > _NOTES else []
    return [*(f"note: {note}" for note in notes[:_NOTES]), *more]


def open_streams() -> None:
    """Give standard streams that are closed a place to go to, and let no letter fail that a locale lacks."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # the lowest free number is this one: else the next file that is opened would get what libraries print
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    r"""The text with escapes for whatever a terminal would obey: names of files may hold any character.

    Example:
        >>> printable("a\x1b[31mb")
        'a\\x1b[31mb'
    """
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape", "surrogatepass").decode()
        for letter in text
    )


def say(text: str) -> None:
    """Print on standard output.

    Raises:
        UserError: it takes no more. That nobody reads it is no error: who asked has what they wanted.
    """
    write(printable(text) + "\n")


def write(text: str) -> None:
    """Write text that is ready for a terminal on standard output; see :func:`say`."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        raise UserError(f"cannot write to standard output ({error.strerror}): what was asked for is done.") from error


def tell(text: str) -> None:
    """Print one line on standard error; where that cannot be, nobody is told."""
    try:
        print(printable(" ".join(text.split())), file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def finish() -> None:
    """Write what others have printed; see :func:`say`."""
    with suppress(ValueError):  # closed by its owner
        write("")
        try:
            sys.stderr.flush()
        except OSError:
            _silence(sys.stderr)


def _silence(stream: Any) -> None:
    """Let a stream that fails lead nowhere: what it still holds would fail once more at the end of the program."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
