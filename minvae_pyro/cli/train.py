"""``minvae train``: a configuration in, weights out."""

from __future__ import annotations

from collections.abc import Sequence

from minvae_pyro.cli.console import say
from minvae_pyro.training.configuration import read_configuration


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when the run is finished.

    Raises:
        UserError: configuration, data or folder cannot be used, or training diverged.
    """
    settings = read_configuration(arguments or ["--help"])
    # only now wait for Lightning: help and mistakes come at once
    from minvae_pyro.training.run import train_as

    say(f"weights: {train_as(settings)}")
    return 0
