"""``minvae enhance`` of folders, or of several recordings."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minvae_pyro.cli.console import say, tell
from minvae_pyro.errors import UserError

if TYPE_CHECKING:
    from minvae_pyro.enhancement.ledger import Outcome

_TOLD = 10  # failures on standard error
_FAILED = 1  # exit code


def is_meant(given: Any) -> bool:
    """Whether what is typed asks for a folder of outputs."""
    folder = given.output is not None and given.output.is_dir()
    return len(given.input) > 1 or folder or any(path.is_dir() for path in given.input)


def run(given: Any, parts: Callable[[], dict[str, Any]]) -> int:
    """Enhance many recordings.

    Args:
        given: the arguments.
        parts: makes engine, noise model and guide, for which torch is loaded.

    Returns:
        0 when all are enhanced, 1 when some could not be.

    Raises:
        UserError: something that is given cannot be used; nothing is written then.
        KeyboardInterrupt: with what has become of the work.
    """
    _check(given)

    # What can be refused is refused; only now wait for torch.
    from minvae_pyro.cli.progress import bar
    from minvae_pyro.enhancement.many import enhance_many

    with bar("loading", sound=True) as progress:
        outcomes = enhance_many(
            given.input,
            given.output,
            form=given.format,
            video=given.video,
            audio_track=given.audio_track,
            video_track=given.video_track,
            keep_original=given.keep_original,
            resume=given.resume,
            overwrite=given.overwrite,
            checkpoint=given.checkpoint,
            trust=given.trust,
            start=given.start,
            **parts(),
            mix=given.mix,
            limit=given.limit,
            seed=given.seed,
            device=given.device,
            batch_seconds=given.batch_seconds,
            workers=given.workers,
            progress=progress,
        )
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in failed[:_TOLD]:
        tell(f"failed: {outcome.input}: {outcome.error}")
    if len(failed) > _TOLD:
        tell(f"and {len(failed) - _TOLD} more failed, see the table")
    summary = _summary(outcomes, given.output)
    say(json.dumps(summary) if given.json else _in_words(summary))
    return _FAILED if failed else 0


def _check(given: Any) -> None:
    for path in given.input:
        if not path.exists():
            raise UserError(f"there is no file or folder {path}: give sound or video files, or folders of them.")
    if given.output is None:
        what = next((f"{path} is a folder" for path in given.input if path.is_dir()), "there are several recordings")
        raise UserError(f"{what}: give --output FOLDER, where a file of each is written.")
    if given.output.suffix.lower() in {".wav", ".flac", ".mp4", ".mov", ".mkv", ".m4v"} and not given.output.is_dir():
        raise UserError(f"{given.output} would be one file for several recordings: give a folder, and --format.")
    for name in ("report", "draws"):
        if getattr(given, name):
            raise UserError(f"--{name} is for a single recording: give one, and a file as --output.")
    if given.keep_original and given.format in ("wav", "flac"):
        raise UserError("--keep-original is for films, whose second track it becomes: give --format video.")


def _summary(outcomes: Sequence[Outcome], output: Path) -> dict[str, Any]:
    by_status = {status: [one for one in outcomes if one.status == status] for status in ("enhanced", "kept", "failed")}
    return {
        "output": str(output),
        "table": str(output / "enhanced.csv"),
        **{status: len(found) for status, found in by_status.items()},
        "seconds": round(sum(one.seconds for one in by_status["enhanced"]), 3),
        "elapsed": round(sum(one.elapsed for one in by_status["enhanced"]), 3),
    }


def _in_words(summary: dict[str, Any]) -> str:
    kept = f"{summary['kept']} kept from before, " if summary["kept"] else ""
    return (
        f"{summary['output']}: {summary['enhanced']} enhanced ({summary['seconds']:.1f} s of sound, "
        f"{summary['elapsed']:.1f} s of inference), {kept}{summary['failed']} failed; see {summary['table']}"
    )
