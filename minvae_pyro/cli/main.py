"""The command ``minvae``: finds the subcommand, turns errors of the user into one line and an exit code."""

from __future__ import annotations

import difflib
import importlib
import platform
import sys
from collections.abc import Sequence
from importlib import metadata

from minvae_pyro.cli.console import finish, open_streams, say, tell
from minvae_pyro.errors import UserError
from minvae_pyro.version import __version__

# name: (module with ``main(arguments) -> int``, what it does). Modules are imported when called, so that help
# comes at once.
COMMANDS = {
    "adapt": ("minvae_pyro.cli.adapt", "teach a checkpoint one talker, from a few clean clips"),
    "ablate": ("minvae_pyro.cli.ablate", "measure what each part is worth, from a YAML file of factors"),
    "demo": ("minvae_pyro.cli.demo", "train on a synthetic talker and enhance it: needs no data"),
    "enhance": ("minvae_pyro.cli.enhance", "clean the speech of a noisy recording"),
    "evaluate": ("minvae_pyro.cli.evaluate", "score systems on noisy mixtures, and compare them"),
    "import": ("minvae_pyro.cli.import_weights", "turn published weights into a checkpoint"),
    "list": ("minvae_pyro.cli.list", "show the priors, guides, noise models, ... that can be named"),
    "prepare": ("minvae_pyro.cli.prepare", "turn a folder of recordings into features for training"),
    "train": ("minvae_pyro.cli.train", "train a model from a configuration"),
    "web": ("minvae_pyro.web.command", "open a page in the browser that enhances recordings"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``minvae``.

    Args:
        arguments: command line without the program's name; that of this process when omitted.

    Returns:
        Exit code: 0, 2 for an error of the user or of the system, 130 after Ctrl-C.
    """
    open_streams()
    try:
        try:
            return _run(arguments)
        finally:
            finish()
    except UserError as error:  # of the last words
        return _complain(f"minvae: {error}", 2)


def _run(arguments: Sequence[str] | None) -> int:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] == "-h":
        say(_usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        say(_versions())
        return 0
    if arguments[0] == "help":  # of a command, or of all
        arguments = [*arguments[1:2], "--help"]
    name, *rest = arguments
    if name == "--help":
        say(_usage())
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        meant = f"did you mean {near[0]}? There are" if near else "there are"
        return _complain(f"minvae: there is no command {name!r}; {meant} {', '.join(COMMANDS)}", 2)
    try:
        return int(importlib.import_module(COMMANDS[name][0]).main(rest))
    except UserError as error:
        return _complain(f"minvae {name}: {error}", 2)
    except KeyboardInterrupt as interrupt:
        return _complain(f"minvae {name}: interrupted{f'; {interrupt}' if str(interrupt) else ''}", 130)
    except OSError as error:
        where = ": ".join(str(one) for one in (error.filename, error.strerror or error) if one)
        return _complain(f"minvae {name}: the system refuses: {where}. See to that file or folder.", 2)
    except MemoryError:
        return _complain(f"minvae {name}: there is not enough memory: give it shorter or smaller files.", 2)


def _complain(text: str, code: int) -> int:
    tell(text)
    return code


def _versions() -> str:
    """Versions of this package and of what decides its results; nothing is imported."""
    others = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "pyro-ppl"))
    return f"minvae_pyro {__version__} ({others}, Python {platform.python_version()})"


def _usage() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items())
    return f"""usage: minvae COMMAND ...

Audio-visual speech enhancement with mixtures of inference networks.

{commands}

`minvae COMMAND --help` explains a command, as does `minvae help COMMAND`."""


if __name__ == "__main__":
    sys.exit(main())
