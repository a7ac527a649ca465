"""What enhancement starts from: a sound, and the mouth that made it, on one clock."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minvae_pyro.audio.files import Sound, read_sound
from minvae_pyro.errors import UserError
from minvae_pyro.files import OPENED, File, on_disk
from minvae_pyro.video.lips import LIPS_SUFFIXES, load_lips
from minvae_pyro.video.track import MOUTH_SIDE, MouthTrack

Source: TypeAlias = "File | Tensor | NDArray[np.floating]"
"""A sound or video file, named or opened, or samples, (samples,) or (channels, samples)."""

Video: TypeAlias = "File | Tensor | NDArray[np.generic] | MouthTrack"
"""A video or lip file, named or opened, mouth crops (T, 67, 67), or a mouth track."""

Seen: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True)
class Recording:
    """A recording of somebody who talks.

    Attributes:
        sound: all channels at their own rate.
        mouth: pictures of the mouth, on the clock of the sound; None without a video that can be used.
        notes: plain sentences on what could not be used.
    """

    sound: Sound
    mouth: MouthTrack | None
    notes: tuple[str, ...] = ()


def read_recording(
    source: Source,
    *,
    sample_rate: int | None = None,
    video: Video | None = None,
    video_frame_rate: float | None = None,
    audio_track: int | None = None,
    video_track: int | None = None,
    progress: Seen | None = None,
) -> Recording:
    """Read sound and mouth.

    Args:
        source: a sound or video file, a path or opened for reading bytes; or (samples,) or (channels, samples)
            floating-point samples.
        sample_rate: Hz, of samples; files know theirs.
        video: of the mouth: a video file or one of lips (``.mat``, ``.npy``), crops (T, 67, 67) as uint8 or in [0, 1],
            or a mouth track. It starts together with the sound. By default the video of ``source``, if there is one.
        video_frame_rate: pictures a second of crops and lip files (30 if omitted for the latter).
        audio_track: which sound track of ``source`` to use, counted from 1, where there are several; by default the one
            that the file calls its default.
        video_track: the same of the video tracks of the file that shows the mouth.
        progress: told how many pictures of a video file are looked at, of how many (0: nobody knows).

    Raises:
        UserError: the sound, or a video that was asked for, cannot be used. That the video of ``source`` cannot be used
            is no error but a note.
    """
    if video is None and video_frame_rate is not None:
        raise UserError("video_frame_rate is that of crops and lip files, and no video is given: leave it out.")
    with ExitStack() as kept:
        opened = hasattr(source, "read")
        if opened:
            # it is read once, for its sound and its video
            source = kept.enter_context(on_disk(source))  # type: ignore[arg-type]
        sound = _sound(source, sample_rate, audio_track)
        if video is not None:
            heard = audio_track if _is_same(source, video) else None
            mouth, notes = _mouth(video, video_frame_rate, video_track, heard, progress)
        elif not _is_file(source):
            return Recording(sound, None, ("no video was given: enhanced from the sound alone",))
        else:
            try:
                mouth, notes = _mouth(source, None, video_track, audio_track, progress)
            except UserError as error:
                reason = str(error).replace(str(source), OPENED) if opened else str(error)
                if video_track is not None:  # it was asked for
                    raise UserError(reason) from error
                return Recording(sound, None, (*sound.notes, f"enhanced from the sound alone, for {reason}"))
        return Recording(sound, mouth.follow(sound.clock), sound.notes + notes)


def as_tensor(values: Any) -> Tensor:
    """Numbers of a caller as a tensor on the CPU, whatever holds them: strides, byte order and precision of any kind.

    Raises:
        UserError: they are no numbers.
    """
    if isinstance(values, Tensor):
        return values.detach().cpu()
    try:
        array = np.asarray(values)
        # torch knows neither negative strides nor foreign byte orders, and warns of arrays that must not be written to
        kind: Any = np.float64 if array.dtype.type is np.longdouble else array.dtype.newbyteorder("=")
        return torch.from_numpy(np.array(array, kind, order="C"))
    except (TypeError, ValueError) as error:
        raise UserError(f"{type(values).__name__} holds no numbers that can be used: give an array.") from error


def _is_same(source: Any, video: Any) -> bool:
    both = [Path(os.fsdecode(file)) for file in (source, video) if isinstance(file, str | bytes | os.PathLike)]
    return len(both) == 2 and all(map(Path.exists, both)) and both[0].samefile(both[1])


def _is_file(source: Any) -> bool:
    return isinstance(source, str | bytes | os.PathLike) or hasattr(source, "read")


def _sound(source: Any, sample_rate: int | None, track: int | None) -> Sound:
    if _is_file(source):
        if sample_rate is not None:
            raise UserError(f"{source} says its own sample rate: leave sample_rate out.")
        return read_sound(source, track)
    if track is not None:
        raise UserError("samples have no tracks to choose from: leave audio_track out.")
    waveform = as_tensor(source)
    if sample_rate is None or not (math.isfinite(sample_rate) and sample_rate >= 1 and sample_rate == int(sample_rate)):
        raise UserError("samples without a sample rate can be anything: give sample_rate, in Hz, a whole number.")
    if not waveform.is_floating_point() or waveform.dim() not in (1, 2) or waveform.numel() == 0:
        raise UserError(
            "a sound is (samples,) or (channels, samples) of floating-point numbers, not "
            f"{tuple(waveform.shape)} of {str(waveform.dtype).removeprefix('torch.')}."
        )
    if waveform.dim() == 2 and len(waveform) > waveform.shape[1]:
        raise UserError(
            f"a sound of {len(waveform)} channels and {waveform.shape[1]} samples is none: a sound is (channels, "
            "samples), so transpose what soundfile gives, (samples, channels), by .T."
        )
    bad = int((~torch.isfinite(waveform)).sum())
    if bad:
        raise UserError(f"the sound has {bad} samples that are NaN or infinite: mend them first.")
    return Sound(torch.atleast_2d(waveform).float(), int(sample_rate))


def _mouth(
    video: Any, frame_rate: float | None, track: int | None, sound_track: int | None, progress: Seen | None
) -> tuple[MouthTrack, tuple[str, ...]]:
    """The mouth, and notes on the file that it is from."""
    if _is_file(video):
        with on_disk(video) as path:
            return _read_mouth(path, frame_rate, track, sound_track, progress)
    if track is not None:
        raise UserError("crops of the mouth have no tracks to choose from: leave video_track out.")
    return _crops(video, frame_rate), ()


def _crops(video: Any, frame_rate: float | None) -> MouthTrack:
    if frame_rate is not None and not 0 < frame_rate < math.inf:
        raise UserError(f"a video cannot have {frame_rate} frames per second: give a number above 0.")
    if isinstance(video, MouthTrack):
        if frame_rate is not None:
            raise UserError("a mouth track has times of its own: leave video_frame_rate out.")
        return video
    if frame_rate is None:
        raise UserError("crops of the mouth carry no times: give video_frame_rate, in frames per second.")
    crops = as_tensor(video)
    if crops.dim() != 3 or crops.shape[1:] != (MOUTH_SIDE, MOUTH_SIDE) or len(crops) == 0:
        raise UserError(f"crops of the mouth are (T, {MOUTH_SIDE}, {MOUTH_SIDE}), not {tuple(crops.shape)}.")
    if crops.is_floating_point():
        if not ((crops >= 0) & (crops <= 1)).all():
            raise UserError("crops of the mouth are grey levels in [0, 1], or uint8: scale them.")
        crops = (crops * 255).round().to(torch.uint8)
    elif crops.dtype != torch.uint8:
        raise UserError("crops of the mouth are uint8, or grey levels in [0, 1]: convert them.")
    times = torch.arange(len(crops), dtype=torch.float64) / frame_rate
    return MouthTrack(crops, times, torch.ones(len(crops), dtype=torch.bool))


def _read_mouth(
    path: Path, frame_rate: float | None, track: int | None, sound_track: int | None, progress: Seen | None
) -> tuple[MouthTrack, tuple[str, ...]]:
    if frame_rate is not None:
        if path.suffix.lower() not in LIPS_SUFFIXES:
            raise UserError(f"{path} says itself when its pictures are shown: leave video_frame_rate out.")
        if track is None:
            return load_lips(path, frame_rate), ()
    from minvae_pyro.video.mouth import read_mouth, video_notes  # loads FFmpeg, 0.1 s that samples do not wait

    mouth = read_mouth(path, track=track, sound_track=sound_track, progress=progress)
    return mouth, video_notes(path, track=track, sound_track=sound_track)
