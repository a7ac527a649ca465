"""``minvae evaluate``: systems on mixtures, scored, compared and shown."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from minvae_pyro.cli.console import CommandParser, add_tracks, few_notes, say, tell
from minvae_pyro.errors import UserError
from minvae_pyro.files import check_folder, make_folder
from minvae_pyro.registry.parser import TRUST_HELP

if TYPE_CHECKING:
    import pandas as pd

    from minvae_pyro.evaluation.mixtures import Mixture
    from minvae_pyro.evaluation.systems import System


_RESULTS = ("scores.parquet", "scores.csv", "summary.md", "summary.tex", "report.html")
_ODD = " ms (?:late|early): | tracks number "
_RECIPE = ("clean", "noise", "snr", "count", "noise_types", "audio_track", "video_track")


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = CommandParser(
        prog="minvae evaluate",
        description="Enhance mixtures by any number of systems, score them (SI-SDR, SI-SIR, SI-SAR, PESQ, STOI, "
        "ESTOI), and write one table, summaries with confidence intervals, figures and a report to listen to. An "
        "interrupted run goes on where it stopped.",
        allow_abbrev=False,
    )
    mixtures = parser.add_argument_group("mixtures", "From a table, or drawn by a recipe (written to mixtures.csv).")
    mixtures.add_argument(
        "--mixtures",
        type=Path,
        metavar="CSV",
        help="table with id, clip, noise, noise_offset_samples, snr_db; or of recorded mixtures id, clip (clean), "
        "noisy and perhaps noise, snr_db; video if the clip does not show the talker; audio_track, noisy_track, "
        "video_track where files have several",
    )
    mixtures.add_argument("--clean", type=Path, metavar="DIR", help="clean clips, sound or video")
    mixtures.add_argument("--noise", type=Path, metavar="DIR", help="noises; files or folders are types")
    mixtures.add_argument("--snr", type=float, nargs="+", metavar="DB", help="ratios (default: -5 0 5)")
    mixtures.add_argument("--noise-types", nargs="+", metavar="TYPE", help="of the noises (default: all)")
    mixtures.add_argument("--count", type=int, metavar="N", help="how many mixtures (default: 36)")
    add_tracks(mixtures, "the clean clips")
    systems = parser.add_argument_group("systems")
    systems.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="[NAME=]CHECKPOINT",
        help="shipped name or .safetensors file, may be given several times (default: min-vae)",
    )
    systems.add_argument(
        "--systems",
        type=Path,
        metavar="FILE.yaml",
        help="NAME: {checkpoint: ..., engine: ..., start: ..., noise: ..., guide: ..., video: right, other, frozen, "
        "late-40, covered or absent, seed: ...}",
    )
    systems.add_argument(
        "--estimates",
        type=_named,
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="what another system has made of the mixtures, ID.wav or ID.flac; may be given several times",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the results")
    parser.add_argument(
        "--baseline", metavar="NAME", help="system that the others are tested against (default: the first)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides everything random (default: 0)")
    add_running(parser, "evaluation")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when everything is written.

    Raises:
        UserError: something that is given cannot be used; nothing is computed then.
        KeyboardInterrupt: with what has become of the work.
    """
    given = parser().parse_args(arguments)
    _check(given)

    # What can be refused without torch is refused; only now wait for it.
    from minvae_pyro.evaluation.report.summary import write_overview

    systems = _systems(given)
    estimates = dict(given.estimates)
    names = [*(system.name for system in systems), *estimates]
    if given.baseline not in (None, "input", *names):
        raise UserError(f"the baseline {given.baseline} is no system: choose input or one of {', '.join(names)}.")
    mixtures = _mixtures(given)
    write = functools.partial(write_overview, output=given.output, baseline=given.baseline, overwrite=given.overwrite)
    return run(given, mixtures, lambda: systems, write, estimates)


def run(
    given: argparse.Namespace,
    mixtures: Sequence[Mixture],
    systems: Callable[[], Sequence[System]],
    write: Callable[[pd.DataFrame], str],
    estimates: Mapping[str, str] | None = None,
) -> int:
    """Evaluate, write what ``write`` makes of the table, and print what it returns.

    Args:
        given: ``output`` and the options of :func:`add_running`.
        mixtures: what is enhanced.
        systems: makes the systems.
        write: writes summaries and report.
        estimates: folders of what other systems have made of the mixtures.

    Raises:
        KeyboardInterrupt: with what has become of the work.
    """
    from minvae_pyro.cli.progress import bar
    from minvae_pyro.evaluation.experiment import evaluate

    try:
        made = systems()
        notes: list[str] = []
        with bar("reading files") as progress:
            table = evaluate(
                mixtures,
                made,
                given.output,
                estimates=estimates,
                workers=given.workers,
                device=given.device,
                sounds=not given.no_sounds,
                pitch=given.pitch,
                overwrite=given.overwrite,
                progress=progress,
                note=notes.append,
            )
            progress("drawing", 0, 0)
            text = write(table)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"what is finished is in {given.output}, the same command goes on there") from interrupt
    for line in (*few_notes(notes), *_failures(table)):
        tell(line)
    say(f"{text.rstrip()}\n\nreport: {given.output / 'report.html'}")
    return 0


def _failures(table: pd.DataFrame) -> list[str]:
    """A line for each mixture that could not be enhanced or read, or with which something is odd, if they are few."""
    odd = table["note"].str.contains(_ODD, regex=True)
    failed = table[table["si_sdr"].isna() | odd].drop_duplicates(["id", "note"])
    return few_notes([f"{row['id']} ({row['system']}): {row['note']}" for row in failed.to_dict("records")])


def _check(given: argparse.Namespace) -> None:
    recipe = [name for name in _RECIPE if getattr(given, name) is not None]
    if (given.mixtures is None) == (not recipe):
        raise UserError("give either a table of mixtures (--mixtures) or a recipe (--clean, --noise).")
    if recipe and (given.clean is None or given.noise is None):
        raise UserError("a recipe needs both --clean and --noise, folders of recordings.")
    for name, folder in given.estimates:
        if not Path(folder).is_dir():
            raise UserError(f"--estimates {name}={folder}: there is no such folder; write NAME=FOLDER.")
    if len(dict(given.estimates)) < len(given.estimates):
        raise UserError("--estimates: each needs a name of its own.")
    check_folder(given.output, _RESULTS, overwrite=given.overwrite)


def _named(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    return (name, folder) if equals else (Path(text).name, text)


def _mixtures(given: argparse.Namespace) -> list[Mixture]:
    from minvae_pyro.evaluation.mixtures import read_mixtures
    from minvae_pyro.evaluation.recipe import mix_recipe, write_mixtures

    if given.mixtures is not None:
        return read_mixtures(given.mixtures)
    snrs, count = given.snr or [-5.0, 0.0, 5.0], 36 if given.count is None else given.count
    drawn = mix_recipe(
        given.clean,
        given.noise,
        snrs,
        count,
        noise_types=given.noise_types or (),
        seed=given.seed,
        audio_track=given.audio_track,
        video_track=given.video_track,
    )
    make_folder(given.output)
    return read_mixtures(write_mixtures(given.output / "mixtures.csv", drawn, overwrite=given.overwrite))


def _systems(given: argparse.Namespace) -> list[System]:
    from minvae_pyro.evaluation.systems import parse_system, read_systems

    named = given.system or ([] if given.systems or given.estimates else ["min-vae"])
    systems = [replace(parse_system(text, given.trust), seed=given.seed) for text in named]
    return systems + ([] if given.systems is None else read_systems(given.systems, given.trust))


def add_running(parser: argparse.ArgumentParser, kind: str) -> None:
    """Add ``--trust``, ``--workers``, ``--device``, ``--pitch``, ``--no-sounds`` and ``--overwrite``.

    Args:
        parser: of the command.
        kind: what the results are of.
    """
    parser.add_argument("--trust", action="append", default=[], metavar="MODULE", help=TRUST_HELP)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (default: cpu)")
    parser.add_argument(
        "--pitch", action="store_true", help="also compare pitch and voicing with those of the clean speech (pYIN)"
    )
    parser.add_argument("--no-sounds", action="store_true", help="keep no sounds; the report has no players then")
    parser.add_argument("--overwrite", action="store_true", help=f"replace the results of another {kind}")
