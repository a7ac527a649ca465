"""``minvae web``: a page in the browser that enhances what is dropped on it."""

from __future__ import annotations

import argparse
import importlib.util
import math
import socket
from collections.abc import Sequence

from minvae_pyro.cli.console import CommandParser
from minvae_pyro.errors import UserError

MOST_MEGABYTES = 200.0
"""Of a recording, when nothing else is said."""

MOST_SECONDS = 120.0
"""Of a recording, when nothing else is said."""


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = CommandParser(
        prog="minvae web",
        description="Open a page in the browser that enhances recordings: drop or record a video or a sound, compare "
        "before and after, download. One recording is enhanced at a time, further visitors wait and see their place. "
        "What visitors upload is deleted after about an hour, and everything when the command ends (Ctrl-C).",
        epilog="It needs Gradio: pip install 'minvae_pyro[web]'.",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen: 127.0.0.1 is for this machine alone, 0.0.0.0 for all networks (default: %(default)s)",
    )
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="of that address (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="only serve the page, do not open a browser")
    parser.add_argument(
        "--max-size",
        type=float,
        default=MOST_MEGABYTES,
        metavar="MB",
        help="largest recording that is taken (default: %(default)g)",
    )
    parser.add_argument(
        "--max-seconds",
        type=float,
        default=MOST_SECONDS,
        metavar="S",
        help="longest recording that is taken (default: %(default)g)",
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="FILE",
        help="a checkpoint of your own that is offered before the shipped ones; may be given several times",
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command until it is interrupted.

    Returns:
        0 when the page was closed.

    Raises:
        UserError: Gradio is missing, a limit makes no sense, a checkpoint cannot be read, or the address is taken.
    """
    given = parser().parse_args(arguments)
    for option, value in (("--max-size", given.max_size), ("--max-seconds", given.max_seconds)):
        if not (value > 0 and math.isfinite(value)):
            raise UserError(f"nothing fits within {option} {value:g}: give a number above 0.")
    if importlib.util.find_spec("gradio") is None:
        raise UserError("the page needs Gradio, which is not installed: pip install 'minvae_pyro[web]'.")
    _check_address(given.host, given.port)

    # What can be refused is refused; only now wait for torch and Gradio.
    from minvae_pyro.web.server import serve

    serve(
        host=given.host,
        port=given.port,
        browser=not given.no_browser,
        most_megabytes=given.max_size,
        most_seconds=given.max_seconds,
        checkpoints=given.checkpoint,
    )
    return 0


def _check_address(host: str, port: int) -> None:
    """See that somebody can listen there, before seconds are spent on loading.

    Raises:
        UserError: the port is taken or out of range, or the address is none of this machine.
    """
    if not 1 <= port <= 65535:
        raise UserError(f"there is no port {port}: choose one of 1024 to 65535 by --port.")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot listen on port {port} of {host} ({reason}): choose another by --port or --host."
        ) from error
