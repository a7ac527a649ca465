"""The mouth that goes with a mixture: the right one, a wrong one, a picture that stands still, or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from benchmarks.grid import fingerprint
from minvae_pyro.errors import UserError
from minvae_pyro.video.mouth import read_mouth
from minvae_pyro.video.track import MouthTrack
from minvae_pyro.writing import write_whole

_FROZEN_AFTER = 1.0  # seconds


def other_clip(clip: Path) -> Path:
    """Another clip of the same talker: the one half-way round the sorted folder.

    Neighbours will not do: sorted GRID clips begin with the same words, so that their lips nearly agree.

    Raises:
        UserError: the folder has no other clip.
    """
    clips = sorted(file for file in clip.parent.iterdir() if file.suffix == clip.suffix)
    if len(clips) < 2:
        raise UserError(f"{clip.parent} has no other clip than {clip.name}: add one of the same talker.")
    return clips[(clips.index(clip) + len(clips) // 2) % len(clips)]


def freeze(track: MouthTrack, after: float = _FROZEN_AFTER) -> MouthTrack:
    """Repeat the picture that is seen ``after`` so many seconds until the end."""
    last = max(0, int((track.times <= after).sum()) - 1)
    rows = torch.arange(len(track.times)).clamp(max=last)
    return replace(track, crops=track.crops[rows], found=track.found[rows])


def mouth_of(clip: Path, video: str, cache: Path) -> MouthTrack | None:
    """The mouth that the model is shown with the sound of a clip.

    Args:
        clip: the clip that is heard.
        video: one of :data:`benchmarks.grid.VIDEOS`.
        cache: folder of mouths that were read before.
    """
    if video == "absent":
        return None
    track = read_once(other_clip(clip) if video == "other" else clip, cache)
    return freeze(track) if video == "frozen" else track


def read_once(clip: Path, cache: Path) -> MouthTrack:
    """Read the mouth of a clip, or fetch it where it was read before."""
    path = cache / f"{clip.stem}-{fingerprint(clip)}.safetensors"
    if not path.exists():
        track = read_mouth(clip)
        tensors = {"crops": track.crops, "times": track.times, "found": track.found}
        # another process may have been quicker
        write_whole(path, save({name: value.contiguous() for name, value in tensors.items()}), overwrite=True)
    return MouthTrack(**load_file(path))
