"""``minvae prepare``: recordings in, features out."""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minvae_pyro.cli.console import CommandParser, add_tracks, few_notes, say, tell
from minvae_pyro.corpora.sources import KINDS
from minvae_pyro.errors import UserError

if TYPE_CHECKING:
    from minvae_pyro.audio.stft import STFT
    from minvae_pyro.corpora.hold_out import Part


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = CommandParser(
        prog="minvae prepare",
        description="Turn a folder of recordings into a folder of features for training: power spectrograms "
        "and mouth crops, with a manifest. Finished clips are kept: the same command continues after Ctrl-C.",
    )
    parser.add_argument(
        "kind",
        choices=KINDS,
        help="grid: videos with sound; ntcd-timit: audio/*_s.wav and lips/*.mat; folder: any sound or video",
    )
    parser.add_argument("source", type=Path, help="folder with the recordings, searched with all below it")
    parser.add_argument("destination", type=Path, help="folder for the features, made when missing")
    parser.add_argument("--n-fft", type=int, default=1024, help="samples of an STFT window (default: %(default)s)")
    parser.add_argument(
        "--hop", type=int, default=533, help="samples between STFT frames at 16 kHz (default: %(default)s)"
    )
    add_tracks(parser, "the recordings")
    parser.add_argument(
        "--hold-out",
        metavar="WHAT:SHARE",
        help="prepare two folders, DESTINATION and DESTINATION-held-out: talker:0.1 holds a tenth of the talkers out "
        "(by their folders, or as the corpus numbers them), utterance:0.1 a tenth of the recordings",
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core, %(default)s)"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0; clips that cannot be used are listed on standard error.

    Raises:
        UserError: nothing could be prepared.
        KeyboardInterrupt: interrupted; finished clips are kept.
    """
    given = parser().parse_args(arguments)

    # only now wait for torch: help has come at once
    from minvae_pyro.audio.stft import STFT
    from minvae_pyro.corpora.hold_out import HoldOut, Part

    try:
        stft = STFT(given.n_fft, given.hop)
    except ValueError as error:
        raise UserError(f"{error}: choose another --hop.") from error
    parts: dict[Path, Part | None] = {given.destination: None}
    if given.hold_out is not None:
        hold_out = HoldOut.parse(given.hold_out)
        aside = given.destination.with_name(f"{given.destination.name}-held-out")
        parts = {given.destination: Part(hold_out, held=False), aside: Part(hold_out, held=True)}
    for destination, part in parts.items():
        _prepare(given, destination, stft, part)
    return 0


def _prepare(given: argparse.Namespace, destination: Path, stft: STFT, part: Part | None) -> None:
    """Prepare one folder, and say what is in it."""
    from minvae_pyro.cli.progress import bar
    from minvae_pyro.corpora.prepare import Tracks, prepare

    try:
        with bar("prepare", counted=True) as progress:
            result = prepare(
                given.kind,
                given.source,
                destination,
                stft,
                tracks=Tracks(given.audio_track, given.video_track),
                part=part,
                workers=given.workers,
                progress=functools.partial(progress, "prepare"),
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command continues where it stopped") from None
    for name, reason in result.failed:
        tell(f"left out {name}: {reason}")
    for line in few_notes([f"{name}: {note}" for name, note in result.notes]):
        tell(line)
    seconds = sum(entry.seconds for entry in result.entries)
    mouths = sum(entry.has_mouth for entry in result.entries)
    talkers = len({entry.speaker for entry in result.entries})
    say(
        f"{destination}: {len(result.entries)} clips ({mouths} with a mouth) of {talkers} "
        f"talker{'s' * (talkers > 1)}, {seconds / 60:.1f} minutes of sound; {result.kept} were there before, "
        f"{len(result.failed)} left out"
    )
