"""What a system is shown with the sound of a clip: its own video, a wrong one, a damaged one, or none."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from minvae_pyro.audio.clock import SoundClock
from minvae_pyro.audio.files import read_sound
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.kept import KeptMouth, keep_mouth, kept_mouth
from minvae_pyro.files import digest_of
from minvae_pyro.registry.build import make
from minvae_pyro.registry.names import Description, resolve
from minvae_pyro.video.mouth import read_mouth, video_notes
from minvae_pyro.video.occlusion import frozen_time
from minvae_pyro.video.track import MouthTrack

Read = Callable[[Path], MouthTrack]
"""Reads the mouth of a clip."""

Show = Callable[[Path, Read], MouthTrack | None]
"""What is shown with a clip, timed as its sound; None for no video."""


class Video(ABC):
    """What is shown with a clip."""

    @abstractmethod
    def __call__(self, clip: Path, read: Read) -> MouthTrack | None:
        """The mouth that goes with the sound of a clip; ``read`` gives the mouth of any clip."""


class Right(Video):
    """The clip's own video."""

    def __call__(self, clip: Path, read: Read) -> MouthTrack | None:
        """The mouth of the clip."""
        return read(clip)


class Absent(Video):
    """No video."""

    def __call__(self, clip: Path, read: Read) -> MouthTrack | None:
        """Nothing."""
        return None


class Other(Video):
    """The video of another clip of the talker: the one half-way round the sorted folder.

    Neighbours will not do: sorted GRID clips begin with the same words, so that their lips nearly agree.
    """

    def __call__(self, clip: Path, read: Read) -> MouthTrack | None:
        """The mouth of another clip.

        Raises:
            UserError: the folder has no other clip of the same kind of file.
        """
        clips = sorted(file for file in clip.parent.iterdir() if file.suffix == clip.suffix)
        if len(clips) < 2:
            raise UserError(f"{clip.parent} has no other clip than {clip.name}: add one of the same talker.")
        return read(clips[(clips.index(clip) + len(clips) // 2) % len(clips)])


@dataclass(frozen=True)
class Frozen(Video):
    """The picture stands still from ``after`` seconds on; the face still counts as found."""

    after: float = 1.0

    def __call__(self, clip: Path, read: Read) -> MouthTrack | None:
        """The mouth of the clip, the picture of that moment repeated until the end."""
        track = read(clip)
        last = max(0, int((track.times <= self.after).sum()) - 1)
        time = frozen_time(torch.arange(len(track.times)), last)
        return replace(track, crops=track.crops[time], found=track.found[time])


@dataclass(frozen=True)
class Late(Video):
    """The video runs behind the sound; before it begins there is no mouth.

    Attributes:
        milliseconds: how much; below zero it runs ahead.
    """

    milliseconds: float

    def __call__(self, clip: Path, read: Read) -> MouthTrack | None:
        """The mouth of the clip with every picture shown later."""
        track = read(clip)
        return replace(track, times=track.times + self.milliseconds / 1000)


class Covered(Video):
    """Every picture is an even grey, as bright as the clip is on average; a face is still found."""

    def __call__(self, clip: Path, read: Read) -> MouthTrack | None:
        """Grey pictures at the times of the clip's."""
        track = read(clip)
        grey = track.crops[track.found].float().mean().nan_to_num().round().to(torch.uint8)
        return replace(track, crops=(grey * track.found)[:, None, None].expand_as(track.crops))


VIDEOS: dict[str, type[Video]] = {
    "right": Right,
    "other": Other,
    "frozen": Frozen,
    "covered": Covered,
    "absent": Absent,
}
"""What may be shown, by its short name; ``late-40`` and so on, in milliseconds, besides."""


def make_video(described: Description | Show) -> Show:
    """What a description of the video means.

    It is a name of :data:`VIDEOS`, ``late-MILLISECONDS``, a class name, ``class_path`` with ``init_args``, the import
    path of a function with the signature of :data:`Show`, or such a function.

    Raises:
        UserError: nothing of that name, or arguments that it does not take.
    """
    if isinstance(described, str):
        if late := re.fullmatch(r"late-(\d+(?:\.\d+)?)", described):
            return Late(float(late.group(1)))
        if "." in described:
            found = resolve(described, VIDEOS, callable, "video")
            described = described if inspect.isclass(found) else found
    if callable(described):
        return described
    return make(Video, described, "video", VIDEOS)


def read_once(
    clip: Path,
    cache: Path,
    *,
    heard: Path | None = None,
    sound_track: int | None = None,
    video_track: int | None = None,
    notes: list[str] | None = None,
    repaired: list[str] | None = None,
) -> MouthTrack:
    """Read the mouth of a clip, or fetch it from the cache, unless the clip or what is kept of it has changed since.

    Args:
        clip: a video, or a file of lips.
        cache: folder.
        heard: the sound that it is timed by, which starts together with it; by default the clip's own.
        sound_track: of the file of the sound, counted from 1.
        video_track: of the clip.
        notes: get what is out of the ordinary in the clip.
        repaired: get a sentence where what was kept could not be used.

    Raises:
        UserError: the clip cannot be read, shows no picture, or has no such track.
    """
    own = heard is None or heard == clip
    tracks = {"track": video_track, "sound_track": sound_track if own else None}
    try:
        digest = digest_of(clip)
    except OSError as error:
        raise UserError(f"cannot read {clip}: {error.strerror}") from error
    key = hashlib.sha256(f"{digest} {tracks}".encode()).hexdigest()[:16]
    path = cache / f"{clip.stem}-{key}.safetensors"
    kept = kept_mouth(path)
    if kept is None:
        if path.exists() and repaired is not None:
            repaired.append(f"{path} was damaged, or of another version: the mouth is read again")
        kept = KeptMouth(
            read_mouth(clip, track=video_track, sound_track=tracks["sound_track"]), video_notes(clip, **tracks)
        )
        keep_mouth(path, kept)
    if notes is not None:
        notes += [f"{clip.name}: {note}" for note in kept.notes]
    return kept.mouth.follow(_clock(clip if heard is None else heard, sound_track))


def _clock(sound: Path, track: int | None) -> SoundClock | None:
    """The clock of a file; None of one without a sound that can be read."""
    try:
        return _clock_of(sound, track, digest_of(sound))
    except (OSError, UserError):
        return None


@functools.lru_cache(maxsize=1024)
def _clock_of(sound: Path, track: int | None, digest: str) -> SoundClock | None:
    return read_sound(sound, track).clock
