"""``minvae import``: weights that others published in, a checkpoint out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from minvae_pyro.cli.console import CommandParser, say, tell
from minvae_pyro.errors import UserError
from minvae_pyro.files import check_file


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = CommandParser(
        prog="minvae import",
        description="Turn published weights, or a checkpoint of an earlier version, into a checkpoint that `minvae "
        "enhance` can use. Tensors alone are read: no code that a file may hold is run.",
    )
    parser.add_argument(
        "path",
        type=Path,
        metavar="PATH",
        help="the .pt file, or its folder, with config.ini beside it; of an earlier version the .safetensors file",
    )
    parser.add_argument(
        "--format",
        default="av-dkf",
        metavar="NAME",
        help="av-dkf, the A-VAE, AV-CVAE and A-DKF of arXiv 2211.00988 (default); minvae_pyro-2, checkpoints of this "
        "package in format 2",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE.safetensors", help="the checkpoint to write"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when the checkpoint is written; what its user must know is said on standard error.

    Raises:
        UserError: weights or output cannot be used; nothing is written then.
    """
    given = parser().parse_args(arguments)
    if given.output.suffix != ".safetensors":
        raise UserError(f"cannot write {given.output}: the name must end in .safetensors.")
    check_file(given.output, overwrite=given.overwrite)

    # What can be refused is refused; only now wait for torch.
    from minvae_pyro.checkpoints.importing import import_weights

    imported = import_weights(given.path, given.output, format=given.format, overwrite=given.overwrite)
    for note in imported.notes:
        tell(f"note: {note}")
    say(f"{imported.path}: {imported.model} as {imported.prior}; {imported.licence}")
    return 0
