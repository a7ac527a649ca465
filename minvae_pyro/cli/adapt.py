"""``minvae adapt``: clean clips of a talker in, a checkpoint for them out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from minvae_pyro.cli.console import CommandParser, add_tracks, few_notes, say, tell
from minvae_pyro.registry.parser import TRUST_HELP


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = CommandParser(
        prog="minvae adapt",
        description="Teach a checkpoint the mouth of one talker from clean clips of theirs; one clip in five is held "
        "back to measure what was gained. The same command continues after Ctrl-C.",
    )
    parser.add_argument("clips", nargs="+", type=Path, help="clean videos of one talker, or folders of them")
    parser.add_argument("--output", required=True, type=Path, help="the checkpoint to write (.safetensors)")
    parser.add_argument("--checkpoint", default="min-vae", help="what to start from (default: %(default)s)")
    parser.add_argument("--trust", action="append", default=[], metavar="MODULE", help=TRUST_HELP)
    add_tracks(parser, "the clips")
    parser.add_argument("--seed", type=int, default=0, help="decides everything random (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint that exists")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0; clips that cannot be used are listed on standard error.

    Raises:
        UserError: clips or checkpoint cannot be used, or nothing can be written.
        KeyboardInterrupt: interrupted; what was done is kept.
    """
    given = parser().parse_args(arguments)

    # only now wait for torch: help has come at once
    from minvae_pyro.adaptation.adapt import adapt
    from minvae_pyro.cli.progress import bar

    try:
        with bar("adapt", counted=True) as progress:
            result = adapt(
                given.clips,
                given.output,
                checkpoint=given.checkpoint,
                trust=given.trust,
                seed=given.seed,
                audio_track=given.audio_track,
                video_track=given.video_track,
                overwrite=given.overwrite,
                progress=progress,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command continues where it stopped") from None
    for name, reason in result.left_out:
        tell(f"left out {name}: {reason}")
    for line in few_notes([f"{name}: {note}" for name, note in result.notes]):
        tell(line)
    say(result.gains.markdown())
    say(f"{result.checkpoint}: learnt from {result.trained} clips, measured on {result.held_back}")
    return 0
