"""``minvae demo``: no data, no network, two minutes."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog="minvae demo",
        description="Draw a synthetic talking mouth whose lips drive its formants, train MIN-VAE on it (a "
        "minute or two on two cores), add noise to a sentence that it has not heard, enhance it, score the "
        "result. Writes clean.wav, noisy.wav, enhanced.wav, figure.png, scores.json and weights.safetensors.",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("minvae-demo"),
        metavar="DIR",
        help="folder, made when missing (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides training, sentence and noise (default: 0)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files of these names that exist")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when the files are written.

    Raises:
        UserError: a file exists and is to be kept, or the folder cannot be written to.
    """
    given = parser().parse_args(arguments)
    from minvae_pyro.demonstration import demonstrate

    print("training on a synthetic talker, a minute or two", file=sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):
        shown = demonstrate(given.output, seed=given.seed, overwrite=given.overwrite)
    width = max(map(len, shown.scores))
    columns = {"si_sdr": "SI-SDR dB", "pesq": "PESQ-wb", "stoi": "STOI", "estoi": "ESTOI"}
    print(" " * width + "".join(f"{title:>11}" for title in columns.values()))
    for name, row in shown.scores.items():
        print(f"{name:{width}}" + "".join(f"{row[metric]:11.3f}" for metric in columns))
    print(f"training took {shown.training_seconds:.0f} s; sound, figure, scores, weights are in {given.output}")
    return 0
