"""Adapt the mouth of a mixture to a talker: clean clips in, a checkpoint and what it gains out."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minvae_pyro.adaptation.gains import Gains, measure_gains
from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from minvae_pyro.corpora.prepare import Tracks, prepare
from minvae_pyro.corpora.sources import find_clips
from minvae_pyro.enhancement.enhance import DEFAULT_CHECKPOINT
from minvae_pyro.errors import UserError
from minvae_pyro.files import check_file, make_folder, write_atomic
from minvae_pyro.registry.admission import Trust
from minvae_pyro.training.run import train

FEWEST = 3
"""Clips that are needed: one of them is held back."""

_HELD_BACK = 5  # one clip in so many is held back, to measure on
_MOST_HELD_BACK = 10
_EPOCHS, _STEPS = 10, 40  # of training, and in each, whatever the number of clips
_BATCH = 8

_ODDS = 0.5  # even: a face that was learnt need not earn what a stranger's has to

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many steps of it are done, and how many there are."""


@dataclass(frozen=True)
class Adapted:
    """What became of the clips.

    Attributes:
        checkpoint: the file.
        trained: clips that were learnt from.
        held_back: clips that were measured on.
        left_out: (file, why) of clips that cannot be used.
        gains: on the held-back clips, by system.
        notes: (clip, plain sentence) of what was odd about clips that were read now.
    """

    checkpoint: Path
    trained: int
    held_back: int
    left_out: list[tuple[str, str]]
    gains: Gains
    notes: list[tuple[str, str]] = field(default_factory=list)


def adapt(
    clips: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    checkpoint: str | os.PathLike[str] = DEFAULT_CHECKPOINT,
    trust: Trust = (),
    seed: int = 0,
    audio_track: int | None = None,
    video_track: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Adapted:
    """Teach the visual component of a mixture the mouth and voice of one talker.

    Decoder, audio encoder and gate stay as they are: the voice prior has heard hundreds of talkers, and a gate that
    has met few videos forgets to distrust the wrong ones. Sound and mouth begin at even odds, whatever they were. One
    clip in five is held back, and mixed with synthetic noise to measure what was gained, with the right and with a
    wrong video. A folder beside ``output``, ``NAME-adaptation``, keeps features, run and report; the same call
    continues what was interrupted.

    Args:
        clips: clean videos of one talker, or folders of them; three at least.
        output: the ``.safetensors`` file to write.
        checkpoint: what to start from, a shipped name or a file; its prior needs a visual component.
        trust: modules of your own whose classes the checkpoint may name, see :func:`minvae_pyro.load_checkpoint`.
        seed: decides everything random.
        audio_track: of the clips, counted from 1, where they have several; by default the default track.
        video_track: the same of the video.
        overwrite: replace ``output``.
        progress: called with how far the work is.

    Raises:
        UserError: too few clips, clips or checkpoint that cannot be used, or a file that cannot be written.
        KeyboardInterrupt: interrupted.
    """
    report: Progress = progress or (lambda what, done, total: None)
    path = check_file(output, overwrite=overwrite)
    if path.suffix != ".safetensors":
        raise UserError(f"{path} is no name of a checkpoint: let it end in .safetensors.")
    base = load_checkpoint(checkpoint, trust)
    if not hasattr(getattr(base.prior, "visual_component", None), "network"):
        raise UserError(f"{checkpoint} has no visual component that could learn a talker: start from min-vae.")
    videos = _videos(clips)
    work = path.with_name(f"{path.stem}-adaptation")
    held_back = videos[_HELD_BACK - 1 :: _HELD_BACK][:_MOST_HELD_BACK] or videos[-1:]
    parts = {"train": [v for v in videos if v not in held_back], "held-back": held_back}
    tracks = Tracks(audio_track, video_track)
    left_out: list[tuple[str, str]] = []
    notes: list[tuple[str, str]] = []
    usable: dict[str, list[Path]] = {}
    for part, files in parts.items():
        folder = _linked(work / "clips" / part, files)
        prepared = prepare(
            "grid",
            folder,
            work / "features" / part,
            base.stft,
            tracks=tracks,
            progress=lambda done, total: report("reading the clips", done, total),
        )
        left_out += prepared.failed
        notes += prepared.notes
        usable[part] = [(folder / entry.source).resolve() for entry in prepared.entries if entry.has_mouth]
        if not usable[part]:
            raise UserError(f"no mouth was found in the {len(files)} clips to {part.replace('-', ' ')}: see {work}.")
    weights = _train(base, str(checkpoint), work, len(usable["train"]), seed)
    learnt: Any = load_checkpoint(weights, trust).prior
    base.prior.visual_component.load_state_dict(learnt.visual_component.state_dict())
    save_checkpoint(
        path,
        base.prior,
        base.guide,
        base.metadata,
        base.stft,
        enhancement=base.enhancement | {"mixing_weight": _ODDS},
        training={"adapted": Path(checkpoint).name, "clips": len(usable["train"]), "seed": seed},
        credits=f"{base.metadata.get('credits', '')} Adapted to {len(usable['train'])} clips of one talker.".strip(),
        overwrite=overwrite,
    )
    compared = {"before": load_checkpoint(checkpoint, trust), "adapted": load_checkpoint(path, trust)}
    gains = measure_gains(compared, usable["held-back"], seed, report, tracks)
    write_atomic(work / "report.md", gains.markdown().encode(), overwrite=True)
    return Adapted(path, len(usable["train"]), len(usable["held-back"]), left_out, gains, notes)


def _videos(clips: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """All clips, those of folders included, each once."""
    found: dict[Path, None] = {}
    for clip in map(Path, clips):
        if clip.is_dir():
            found |= {one.sound.resolve(): None for one in find_clips("grid", clip)}
        elif clip.is_file():
            found[clip.resolve()] = None
        else:
            raise UserError(f"{clip} does not exist: name clips of the talker, or a folder of them.")
    if len(found) < FEWEST:
        raise UserError(f"{len(found)} clips are too few: give at least {FEWEST}; ten of three seconds do well.")
    return list(found)


def _linked(folder: Path, files: Sequence[Path]) -> Path:
    """A folder with these files and no others, under names that cannot clash."""
    make_folder(folder)
    wanted = {f"{number:04d}-{file.name}": file for number, file in enumerate(files)}
    present = {entry.name: entry.resolve() for entry in folder.iterdir()}
    if present and present != wanted:
        raise UserError(f"{folder.parent.parent} belongs to other clips: choose another output, or remove that folder.")
    for name, file in wanted.items():
        if name not in present:
            (folder / name).symlink_to(file)
    return folder


def _train(base: Checkpoint, name: str, work: Path, clips: int, seed: int) -> Path:
    """Train the visual component alone."""
    guide = copy.deepcopy(base.metadata["guide"])
    guide.setdefault("init_args", {})["responsibility"] = {"class_path": "FixedResponsibility"}
    features = str(work / "features" / "train")
    learnt = {name for name, part in base.prior.named_children() if any(True for _ in part.parameters())}
    configuration: dict[str, Any] = {
        "prior": base.metadata["prior"],
        "guide": guide,
        "freeze": [*(f"prior.{part}" for part in sorted(learnt - {"visual_component"})), "guide.audio"],
        "initialise": {"prior": name, "guide.audio": name},
        "trust": list(base.trust or ()),
        "data": {
            "train": [features] * -(-_STEPS * _BATCH // clips),
            # what is measured on later has no say in which epoch is the best
            "validation": [features],
            "batch_size": _BATCH,
            "augmentation": {"class_path": "MouthAugmentation"},
        },
        "optimisation": {"lr": 1.0e-3, "one_cycle": True, "clip": 5.0, "weight_decay": 0.01},
        "epochs": _EPOCHS,
        "patience": 0,
        "seed": seed,
        "output": str(work / "run"),
    }
    write_atomic(work / "configuration.json", json.dumps(configuration, indent=2).encode(), overwrite=True)
    return train(["--config", str(work / "configuration.json")])
