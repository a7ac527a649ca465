"""The exceptions that mean: the user can mend this; and how their messages show what a file holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something outside the program is wrong: a file, an argument, a folder.

    The message is one line that says what is wrong, where, and what to do. The command line prints it on
    standard error and exits with code 2; from Python it is an ordinary exception.
    """


class WriteError(UserError):
    """Nothing can be written any more, because a disk is full, say: unlike one bad recording, it ends the work."""


@contextmanager
def about(key: str) -> Iterator[None]:
    """Let messages begin with the option that they are about.

    Raises:
        UserError: of the same class, with the key before its message.
    """
    try:
        yield
    except UserError as error:
        raise type(error)(f"{key}: {error}") from error


def shown(value: object) -> str:
    r"""A value from a file for a message: on one line, printable, and not all of it where it is long.

    Example:
        >>> shown("two\nlines"), shown([1, 2]), shown(float("nan"))
        ("'two\\nlines'", 'a list', 'nan')
    """
    text = ascii(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} letters)"
