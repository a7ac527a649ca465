"""``minvae train``: a configuration in, weights out."""

from __future__ import annotations

from collections.abc import Sequence

from minvae_pyro.training.run import train


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when the run is finished.

    Raises:
        UserError: configuration, data or folder cannot be used, or training diverged.
    """
    if not arguments:
        arguments = ["--help"]
    print(f"weights: {train(arguments)}")
    return 0
