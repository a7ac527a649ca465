"""``minvae enhance``: noisy recordings in, clean speech out."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minvae_pyro.cli import enhance_many
from minvae_pyro.cli.console import say, tell
from minvae_pyro.errors import UserError
from minvae_pyro.files import check_file, check_folder
from minvae_pyro.registry.command_line import descriptions
from minvae_pyro.registry.parser import Parser

if TYPE_CHECKING:
    from minvae_pyro.enhancement.enhance import Enhancement

_SUFFIXES = (".wav", ".flac")
_FILMS = (".mp4", ".mov", ".mkv", ".m4v")
_FORMATS = ("wav", "flac", "video", "mp4", "mov", "mkv")
_REPORT = ("figure.png", "contact-sheet.png")
_SCALES = ("linear", "mel", "constant-q")
_PARTS = {
    "engine": "fast (default), svi, vem, map, mcem, langevin, or any inference engine",
    "noise": "noise model, such as NMFNoise or BayesianNMFNoise",
    "guide": "posterior that is fitted, such as MeanFieldGuide; or one of Pyro's, such as AutoNormal, or a function",
}


def parser() -> Parser:
    """The arguments of the command; classes among them are looked up by :func:`main`, for they need torch."""
    parser = Parser(
        prog="minvae enhance",
        description="Separate the speech of a visible talker from noise. The result has the length, level, "
        "sample rate and channels of the recording, but nothing above 8 kHz. Of folders, or of several recordings, "
        "each becomes a file in the folder --output, and enhanced.csv there says what happened to it; the exit code is "
        "1 where some failed.",
        epilog="`minvae list` shows all names.",
        print_config=None,
    )
    parser.add_argument(
        "input",
        type=_path,
        metavar="INPUT",
        help="noisy recording, a video or a sound file; or a folder, with all below it",
    )
    parser.add_argument("more", type=_path, nargs="*", default=[], metavar="INPUT", help="more of them")
    parser.add_argument(
        "--video",
        type=_path,
        metavar="FILE",
        help="where the mouth is seen, if not in INPUT: a video, or NTCD-TIMIT lips (.mat, .npy); for folders also a "
        "folder with one for each sound, of the same name in the same tree",
    )
    for kind, what in (("audio", "sound"), ("video", "video")):
        parser.add_argument(
            f"--{kind}-track",
            type=int | None,
            metavar="N",
            help=f"which {what} track to use, where there are several, counted from 1 (default: the file's default)",
        )
    parser.add_argument(
        "--output",
        type=_path,
        metavar="FILE|FOLDER",
        help="clean speech, .wav or .flac; or .mp4, .mov or .mkv: the pictures as they are, with clean speech "
        "(default: INPUT-enhanced.wav beside INPUT). For several recordings the folder for what is written",
    )
    parser.add_argument(
        "--keep-original", action="store_true", help="keep the noisy sound as the second track of a film"
    )
    parser.add_argument(
        "--mix",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="of clean speech, the rest is the recording as it was: 0.9 leaves a tenth of it (default: %(default)s)",
    )
    parser.add_argument(
        "--limit",
        type=float | None,
        metavar="DB",
        help="attenuate nothing, at no time and frequency, by more than this, such as 20 (default: no limit)",
    )
    parser.add_argument(
        "--checkpoint",
        type=str,
        default="min-vae",
        metavar="NAME_OR_PATH",
        help="model: a shipped name or a .safetensors file (default: %(default)s)",
    )
    parser.add_trust()
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides everything random (default: %(default)s)"
    )
    parser.add_argument(
        "--draws",
        type=int,
        default=0,
        metavar="N",
        help="also write N draws of the speech given the recording, OUTPUT-draw-1.wav and so on; their interval is in "
        "the figure of the report (default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda", "auto"),
        default="cpu",
        help="where to compute; auto: on a GPU if there is one (default: %(default)s)",
    )
    parser.add_argument(
        "--report", type=_path, metavar="DIR", help="write a figure, and a sheet of the mouths that the model saw"
    )
    parser.add_argument(
        "--report-scale",
        choices=_SCALES,
        default="linear",
        help="of the frequencies in its spectrograms (default: %(default)s)",
    )
    parser.add_argument(
        "--report-pitch", action="store_true", help="draw the pitch of the voice, by pYIN, over its spectrograms"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--config", action="config", metavar="FILE", help="YAML file with any of these options; what is typed wins"
    )
    many = parser.add_argument_group("many recordings", "For folders, or several recordings.")
    many.add_argument(
        "--format",
        choices=_FORMATS,
        default="wav",
        help="what each becomes; video: a film as it is, where it has pictures (default: %(default)s)",
    )
    many.add_argument(
        "--resume",
        action="store_true",
        help="go on with an interrupted run: what was enhanced with the same settings and has not changed is kept",
    )
    many.add_argument(
        "--workers",
        type=int | None,
        metavar="N",
        help="processes that read recordings and find mouths meanwhile (default: one a core but one)",
    )
    many.add_argument(
        "--batch-seconds",
        type=float,
        default=96.0,
        metavar="S",
        help="seconds of sound that are inferred together; more on a large GPU (default: %(default)s)",
    )
    parts = parser.add_argument_group(
        "inference",
        "Classes by their names or import paths. Their arguments are options too, --noise NMFNoise --noise.rank 8; "
        "--noise.help NMFNoise shows them. What is not given is the model's choice.",
    )
    parts.add_argument(
        "--start",
        type=str | None,
        metavar="NAME",
        help="where inference starts: visual, audio, both, prior, random, or a function",
    )
    for key, text in _PARTS.items():
        parts.add_argument(f"--{key}", type=str | dict[str, Any] | None, metavar="CLASS", help=text)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0 when the speech is written.

    Raises:
        UserError: input, output or an option cannot be used; nothing is written then.
        SystemExit: after the help of the command or of a class.
    """
    described = descriptions(arguments, _PARTS)
    if asked := [key for key in _PARTS if any(one.partition("=")[0] == f"--{key}.help" for one in arguments)]:
        return _explain(asked[0], described[asked[0]])
    given = parser().read(arguments)
    given.input = [given.input, *given.more]
    if not 0 <= given.mix <= 1:
        raise UserError(f"there cannot be a mix of {given.mix}: give a share of 0 to 1, such as --mix 0.9.")
    if given.limit is not None and not given.limit >= 0:
        raise UserError(f"nothing can be limited to {given.limit} dB: give 0 or more, such as --limit 20.")
    if enhance_many.is_meant(given):
        return enhance_many.run(given, lambda: _parts(described, given.checkpoint, given.trust))
    return _enhance_one(given, described)


def _enhance_one(given: Any, described: dict[str, Any]) -> int:
    recording = given.input[0]
    if given.resume:
        raise UserError("--resume is for many recordings: a single one is done or not, and --overwrite does it again.")
    output = _output(recording, given)
    if given.draws < 0:
        raise UserError(f"there cannot be {given.draws} draws of the speech: give --draws 0 or more.")
    for number in range(1, given.draws + 1):
        check_file(_draw_file(output, number), overwrite=given.overwrite)
    if given.report is not None:
        check_folder(given.report, _REPORT, overwrite=given.overwrite)
    elif given.report_pitch or given.report_scale != "linear":
        raise UserError("--report-pitch and --report-scale are of the report: add --report FOLDER.")

    # What can be refused is refused; only now wait for torch.
    from minvae_pyro.audio.files import Sound, write_sound
    from minvae_pyro.audio.libraries import load_librosa
    from minvae_pyro.cli.progress import bar
    from minvae_pyro.enhancement.enhance import enhance
    from minvae_pyro.enhancement.output import write_enhancement
    from minvae_pyro.inference.settings import start_named

    if given.report_pitch:
        load_librosa("--report-pitch")
    if given.report_scale != "linear":
        load_librosa(f"--report-scale {given.report_scale}")
    if given.start is not None:
        start_named(given.start)
    parts = _parts(described, given.checkpoint, given.trust)
    with bar("loading") as progress:
        result = enhance(
            recording,
            video=given.video,
            audio_track=given.audio_track,
            video_track=given.video_track,
            checkpoint=given.checkpoint,
            trust=given.trust,
            start=given.start,
            **parts,
            draws=given.draws,
            mix=given.mix,
            limit=given.limit,
            seed=given.seed,
            device=given.device,
            progress=progress,
        )
    left_out = write_enhancement(
        output,
        result,
        recording,
        video=given.video,
        keep_original=given.keep_original,
        audio_track=given.audio_track,
        video_track=given.video_track,
        overwrite=given.overwrite,
    )
    for number, one in enumerate([] if result.draws is None else result.draws, 1):
        write_sound(_draw_file(output, number), Sound(one, result.sample_rate), overwrite=given.overwrite)
    if given.report is not None:
        from minvae_pyro.enhancement.report import write_report

        write_report(
            result, given.report, scale=given.report_scale, pitch=given.report_pitch, overwrite=given.overwrite
        )
    for note in [*result.notes, *left_out]:
        tell(f"note: {note}")
    summary = _summary(result, output)
    say(json.dumps(summary, allow_nan=False) if given.json else _in_words(summary, given.report))
    return 0


def _explain(key: str, name: Any) -> int:
    """Show the arguments of a class, and leave."""
    from pyro.infer.autoguide import AutoGuide

    from minvae_pyro.inference.pyro_parts import guide_named
    from minvae_pyro.inference.settings import PARTS
    from minvae_pyro.registry.names import find

    base, short = PARTS[key]
    name = name["class_path"] if isinstance(name, dict) else name
    found = guide_named(name) if key == "guide" else find(name, (base,), key, short)
    if not inspect.isclass(found):
        print(f"{name}: {inspect.getdoc(found) or 'a function'}")
        return 0
    explained = Parser(prog="minvae enhance")
    explained.add_class(base if issubclass(found, base) else AutoGuide, key, key)
    explained.parse_args([f"--{key}.help={found.__module__}.{found.__qualname__}"])
    return 0


def _parts(described: dict[str, Any], checkpoint: str, trust: Sequence[str]) -> dict[str, Any]:
    """Engine, noise model and guide as far as given, each checked by making it once.

    Raises:
        UserError: no such class, or arguments that it does not take.
    """
    from minvae_pyro.checkpoints.checkpoint import describe
    from minvae_pyro.inference.pyro_parts import make_guide
    from minvae_pyro.inference.settings import PARTS, Settings
    from minvae_pyro.registry.build import make

    found = {}
    for key, part in described.items():
        base, short = PARTS[key]
        if isinstance(part, dict) and "class_path" not in part:  # the checkpoint's choice is meant, but for these
            usual = getattr(Settings.of_checkpoint(describe(checkpoint, trust)["enhancement"], trust), key)
            usual = {"class_path": usual} if isinstance(usual, str) else usual
            part = {**usual, "init_args": {**(usual.get("init_args") or {}), **part["init_args"]}}
        make_guide(part) if key == "guide" else make(base, part, key, short)
        found[key] = part
    return found


def _path(given: str | Path | None) -> Path | None:
    """Of any letters: as a type of jsonargparse, a path would have to be UTF-8."""
    return None if given is None else Path(given)


def _output(recording: Path, given: Any) -> Path:
    if not recording.exists():
        raise UserError(f"there is no file {recording}: give a sound or video file.")
    output: Path = given.output or recording.with_name(f"{recording.stem}-enhanced.wav")
    suffix = output.suffix.lower()
    film = suffix in _FILMS
    if not film and suffix not in _SUFFIXES:
        raise UserError(
            f"cannot write {output}: the name must end in {' or '.join(_SUFFIXES)}, or for a film in "
            f"{' or '.join(_FILMS)}; or give a folder that exists."
        )
    if output.exists() and any(output.samefile(one) for one in (recording, given.video) if one and one.exists()):
        raise UserError(f"{output} is the recording itself: choose another --output.")
    if given.keep_original and not film:
        raise UserError("--keep-original is for films, whose second track it becomes: write .mp4, .mov or .mkv.")
    check_file(output, overwrite=given.overwrite)
    if film:
        from minvae_pyro.media.film import check_film

        check_film(output, given.video or recording, given.video_track)
    return output


def _draw_file(output: Path, number: int) -> Path:
    suffix = output.suffix if output.suffix.lower() in _SUFFIXES else ".wav"
    return output.with_name(f"{output.stem}-draw-{number}{suffix}")


def _summary(result: Enhancement, output: Path) -> dict[str, Any]:
    responsibility = result.audio_responsibility
    return {
        "output": str(output),
        "seconds": result.seconds,
        "elapsed": round(result.elapsed, 3),
        "real_time_factor": round(result.real_time_factor, 4),
        "engine": result.engine,
        "noise": result.noise_model,
        "guide": result.guide,
        "checkpoint": result.checkpoint,
        "mean_audio_responsibility": None if responsibility is None else float(responsibility.mean()),
        "faces_found": result.faces_found,
    }


def _in_words(summary: dict[str, Any], report: Path | None) -> str:
    lines = [
        f"{summary['output']}: {summary['seconds']:.1f} s of speech in {summary['elapsed']:.1f} s "
        f"(engine {summary['engine']}, noise {summary['noise']}, guide {summary['guide']}, "
        f"checkpoint {summary['checkpoint']})"
    ]
    share = summary["mean_audio_responsibility"]
    if share is not None:
        from minvae_pyro.enhancement.ready import percent

        seen = percent(summary["faces_found"])
        lines.append(f"a mouth was seen in {seen} of the frames; the sound explains {share:.0%} of them")
    if report is not None:
        lines.append(f"report: {report}")
    return "\n".join(lines)
