"""What happens behind the button: a recording and some choices in; sounds, films, figures and words out."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.enhancement.enhance import Enhancement, enhance
from minvae_pyro.enhancement.ready import percent
from minvae_pyro.errors import UserError
from minvae_pyro.web.choices import USUAL, Choices
from minvae_pyro.web.examples import mouths_of
from minvae_pyro.web.figures import Figures, draw
from minvae_pyro.web.film import write_film
from minvae_pyro.web.limits import Limits

MOST_DRAWS = 20
"""Posterior draws that a visitor may ask for: each is as large as the sound."""

_OF_AN_EXAMPLE = "film and mouths of this example are drawn by minvae_pyro.web.examples.draw_example"


@dataclass(frozen=True)
class Job:
    """What a visitor asks for.

    Attributes:
        recording: a video or sound file.
        checkpoint: a name of :attr:`minvae_pyro.web.choices.Choices.checkpoints`.
        engine: a name of its parts; so are ``noise`` and ``guide``.
        draws: of the speech given the recording, for their interval.
        seed: decides everything random.
    """

    recording: Path
    checkpoint: str
    engine: str = USUAL
    noise: str = USUAL
    guide: str = USUAL
    draws: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of it; all files are in the folder of the job.

    Attributes:
        before: (sound file, film or None) of the recording as it was heard.
        after: the same with the estimate of the speech.
        figures: what was drawn.
        summary: a sentence.
        notes: plain sentences on what was out of the ordinary.
        command: the command line that does the same.
    """

    before: tuple[Path, Path | None]
    after: tuple[Path, Path | None]
    figures: Figures
    summary: str
    notes: list[str]
    command: str


def run(
    job: Job,
    folder: Path,
    offered: Choices,
    limits: Limits,
    progress: Callable[[str, int, int], None] | None = None,
) -> Outcome:
    """Enhance a recording and write all that the page shows of it.

    Args:
        job: what is asked for.
        folder: an existing folder for the files.
        offered: what may be asked for.
        limits: what is taken.
        progress: told how far the work is, as by :func:`minvae_pyro.enhance`.

    Raises:
        UserError: an answer for the visitor, who knows files by their names alone.
    """
    try:
        return _run(job, folder, offered, limits, progress or (lambda what, done, total: None))
    except UserError as error:
        raise UserError(str(error).replace(str(job.recording), job.recording.name)) from error


def _run(
    job: Job, folder: Path, offered: Choices, limits: Limits, progress: Callable[[str, int, int], None]
) -> Outcome:
    parts: dict[str, Any] = {key: offered.check(key, getattr(job, key)) for key in ("engine", "noise", "guide")}
    checkpoint = offered.check("checkpoint", job.checkpoint) or ""
    if not 0 <= job.draws <= MOST_DRAWS:
        raise UserError(f"there are 0 to {MOST_DRAWS} draws of the speech here, not {job.draws}.")
    if not job.recording.is_file():  # it waited for too long
        raise UserError(f"{job.recording} is not here any more: give it again.")
    progress("reading", 0, 0)
    mouths = mouths_of(job.recording)
    limits.check(job.recording)
    result = enhance(
        job.recording,
        video=mouths,
        checkpoint=checkpoint,
        **parts,
        draws=job.draws,
        seed=job.seed,
        progress=progress,
    )
    progress("drawing", 0, 0)
    stem = Path(job.recording.name).stem[:80] or "recording"
    noisy = Sound(result.speech + result.noise, result.sample_rate)
    return Outcome(
        before=_written(folder / f"{stem}-noisy.wav", noisy, job.recording),
        after=_written(folder / f"{stem}-enhanced.wav", Sound(result.speech, result.sample_rate), job.recording),
        figures=draw(result, folder),
        summary=_in_words(result),
        notes=result.notes if mouths is None else [*result.notes, _OF_AN_EXAMPLE],
        command=command(job, mouths),
    )


def command(job: Job, mouths: Path | None = None) -> str:
    """The command line that enhances the recording in the same way, quoted for a shell.

    Args:
        job: what was asked for.
        mouths: the crops of the mouth, of an example.

    Example:
        >>> command(Job(Path("my talk.mp4"), "a-vae", engine="svi"))
        "minvae enhance 'my talk.mp4' --checkpoint a-vae --engine svi --report 'my talk-report'"
    """
    name = job.recording.name
    words = ["minvae", "enhance", f"./{name}" if name.startswith("-") else name]
    if mouths is not None:
        words += ["--video", mouths.name]
    words += ["--checkpoint", job.checkpoint]
    for key in ("engine", "noise", "guide"):
        if getattr(job, key) != USUAL:
            words += [f"--{key}", getattr(job, key)]
    words += ["--draws", str(job.draws)] if job.draws else []
    words += ["--seed", str(job.seed)] if job.seed else []
    report = f"{Path(name).stem}-report"
    return shlex.join([*words, "--report", f"./{report}" if report.startswith("-") else report])


def _written(path: Path, sound: Sound, recording: Path) -> tuple[Path, Path | None]:
    write_sound(path, sound)
    film = None
    with suppress(UserError):  # a sound, or pictures that no player in a browser shows
        film = write_film(path, recording, sound)
    return path, film


def _in_words(result: Enhancement) -> str:
    said = (
        f"{result.seconds:.1f} s of speech in {result.elapsed:.1f} s: engine {result.engine}, noise "
        f"{result.noise_model}, guide {result.guide}."
    )
    if result.audio_responsibility is None:
        return said
    share = float(result.audio_responsibility.mean())
    seen = percent(result.faces_found)
    return f"{said} A mouth was seen in {seen} of the frames; the sound explains {share:.0%} of them."
