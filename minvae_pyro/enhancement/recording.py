"""What enhancement starts from: a sound, and the mouth that made it, on one clock."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minvae_pyro.audio.files import Sound, read_sound
from minvae_pyro.errors import UserError
from minvae_pyro.video.lips import LIPS_SUFFIXES, load_lips
from minvae_pyro.video.track import MOUTH_SIDE, MouthTrack

FilePath: TypeAlias = "str | os.PathLike[str]"
"""A file by its name."""

Source: TypeAlias = "FilePath | Tensor | NDArray[np.floating]"
"""A sound or video file, or samples, (samples,) or (channels, samples)."""

Video: TypeAlias = "FilePath | Tensor | NDArray[np.generic] | MouthTrack"
"""A video or lip file, mouth crops (T, 67, 67), or a mouth track."""


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
) -> Recording:
    """Read sound and mouth.

    Args:
        source: a sound or video file, or (samples,) or (channels, samples) floating-point samples.
        sample_rate: Hz, of samples; files know theirs.
        video: of the mouth: a video file or one of lips (``.mat``, ``.npy``), crops (T, 67, 67) as uint8 or in [0, 1],
            or a mouth track. It starts together with the sound. By default the video of ``source``, if there is one.
        video_frame_rate: pictures a second of crops and lip files (30 if omitted for the latter).

    Raises:
        UserError: the sound, or a video that was asked for, cannot be used. That the video of ``source`` cannot be used
            is no error but a note.
    """
    sound = _sound(source, sample_rate)
    if video is not None:
        return Recording(sound, _mouth(video, video_frame_rate))
    if not isinstance(source, str | os.PathLike):
        return Recording(sound, None, ("no video was given: enhanced from the sound alone",))
    try:
        return Recording(sound, _mouth(source))
    except UserError as error:
        return Recording(sound, None, (f"enhanced from the sound alone, for {error}",))


def _sound(source: Source, sample_rate: int | None) -> Sound:
    if isinstance(source, str | os.PathLike):
        if sample_rate is not None:
            raise UserError(f"{source} says its own sample rate: leave sample_rate out.")
        return read_sound(source)
    waveform = torch.as_tensor(source).detach().cpu()
    if sample_rate is None or sample_rate < 1:
        raise UserError("samples without a sample rate can be anything: give sample_rate, in Hz.")
    if not waveform.is_floating_point() or waveform.dim() not in (1, 2) or waveform.numel() == 0:
        raise UserError(
            "a sound is (samples,) or (channels, samples) of floating-point numbers, not "
            f"{tuple(waveform.shape)} of {str(waveform.dtype).removeprefix('torch.')}."
        )
    bad = int((~torch.isfinite(waveform)).sum())
    if bad:
        raise UserError(f"the sound has {bad} samples that are NaN or infinite: mend them first.")
    return Sound(torch.atleast_2d(waveform).float(), sample_rate)


def _mouth(video: Video, frame_rate: float | None = None) -> MouthTrack:
    if isinstance(video, MouthTrack):
        return video
    if frame_rate is not None and not frame_rate > 0:
        raise UserError(f"a video cannot have {frame_rate} frames per second: give more than 0.")
    if isinstance(video, str | os.PathLike):
        if frame_rate is not None and Path(video).suffix.lower() in LIPS_SUFFIXES:
            return load_lips(video, frame_rate)
        from minvae_pyro.video.mouth import read_mouth  # loads FFmpeg, 0.1 s that samples do not wait

        return read_mouth(video)
    if frame_rate is None:
        raise UserError("crops of the mouth carry no times: give video_frame_rate, in frames per second.")
    crops = torch.as_tensor(video).detach().cpu()
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
