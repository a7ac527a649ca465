"""Options that the commands share which run systems on mixtures."""

from __future__ import annotations

import argparse


def add_running(parser: argparse.ArgumentParser, kind: str) -> None:
    """Add ``--workers``, ``--device``, ``--no-sounds`` and ``--overwrite``.

    Args:
        parser: of the command.
        kind: what the results are of.
    """
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default: cpu)")
    parser.add_argument("--no-sounds", action="store_true", help="keep no sounds; the report has no players then")
    parser.add_argument("--overwrite", action="store_true", help=f"replace the results of another {kind}")
