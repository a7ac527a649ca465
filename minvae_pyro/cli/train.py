"""``minvae train``: a configuration in, weights out; or a family of them, one after the other."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from minvae_pyro.cli.console import say
from minvae_pyro.training.configuration import read_configuration
from minvae_pyro.training.stages import family_file


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when the run is finished.

    Raises:
        UserError: configuration, data or folder cannot be used, or training diverged.
    """
    family = family_file(arguments)
    if not arguments or (family and {"-h", "--help"} & set(arguments)):
        family, arguments = None, ["--help"]
    settings = None if family else read_configuration(arguments)
    # only now wait for Lightning: help and mistakes come at once
    from minvae_pyro.training.family import train_family
    from minvae_pyro.training.run import train_as
    from minvae_pyro.training.trainer import is_first

    weights = train_family(arguments, say) if settings is None else train_as(settings)
    if is_first():
        say(f"weights: {weights}")
        if family:
            say(f"now: minvae enhance talk.mp4 --checkpoint {shlex.quote(str(weights))}")
    return 0
