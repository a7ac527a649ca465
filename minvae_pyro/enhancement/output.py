"""Write what was found: a sound file, or a film with the pictures of the recording."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.enhancement.enhance import Enhancement
from minvae_pyro.errors import UserError
from minvae_pyro.files import FilePath, path_of
from minvae_pyro.media.film import FILMS, SoundTrack, film_rate, write_film

SOUNDS = (".wav", ".flac")
"""Suffixes of sound files that can be written."""


def is_film(path: FilePath) -> bool:
    """Whether a file of that name is written as a film."""
    return path_of(path).suffix.lower() in FILMS


def write_enhancement(
    path: FilePath,
    result: Enhancement,
    source: str | os.PathLike[str] | None = None,
    *,
    video: str | os.PathLike[str] | None = None,
    keep_original: bool = False,
    audio_track: int | None = None,
    video_track: int | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Write speech to a WAV or FLAC file; or with the pictures of a film to an MP4, MOV or MKV file.

    Pictures are copied as they are; the sound is AAC, in MKV FLAC, and stays in sync.

    Args:
        path: what to write, as the suffix says.
        result: of :func:`minvae_pyro.enhance`.
        source: the file that was enhanced, for a film.
        video: the file with the pictures, if not ``source``.
        keep_original: keep the sound of the recording as the second track of the film: its packets where they are in
            the file with the pictures and fit into the film, else encoded anew.
        audio_track: as of :func:`minvae_pyro.enhance`.
        video_track: as of :func:`minvae_pyro.enhance`.
        overwrite: replace a file that exists.

    Returns:
        Plain sentences on what was left out.

    Raises:
        UserError: no such suffix, pictures that cannot be copied into such a film, or nothing can be written.
    """
    path = path_of(path)
    if not is_film(path):
        write_sound(path, Sound(result.speech, result.sample_rate), overwrite=overwrite)
        return []
    if source is None:
        raise UserError(f"cannot write {path} without pictures: give the file that has them, or write .wav.")
    return write_pictured(
        path,
        Sound(result.speech, result.sample_rate, result.clock),
        Path(source),
        None if video is None else Path(video),
        result.speech + result.noise if keep_original else None,
        audio_track=audio_track,
        video_track=video_track,
        overwrite=overwrite,
    )


def write_pictured(
    path: Path,
    speech: Sound,
    source: Path,
    video: Path | None,
    original: Tensor | None,
    *,
    audio_track: int | None,
    video_track: int | None,
    overwrite: bool,
) -> list[str]:
    """Write a film of pictures and speech, and perhaps the sound as it was; see :func:`write_enhancement`."""
    picture = video or source
    its_own = picture.samefile(source)
    left_out = write_film(
        path,
        picture,
        sound_track_for(path, speech, "enhanced"),
        original=None if original is None else sound_track_for(path, Sound(original, speech.sample_rate), "original"),
        copy_original=its_own,
        retime=None if speech.clock is None else speech.clock.to_sound,
        video_track=video_track,
        sound_track=audio_track if its_own else None,
        overwrite=overwrite,
    )
    return list(left_out)


def sound_track_for(path: Path, sound: Sound, title: str) -> SoundTrack:
    """A sound as the track of a film of that suffix: at a rate that its codec knows, not louder than full scale."""
    sound = sound.resample(film_rate(path, sound.sample_rate))
    peak = float(sound.waveform.abs().max()) if sound.waveform.numel() else 0.0
    waveform = sound.waveform / max(1.0, peak)  # louder would clip
    return SoundTrack(waveform.to("cpu", torch.float32).numpy(), sound.sample_rate, title)
