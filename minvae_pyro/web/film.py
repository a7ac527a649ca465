"""A film for a player in the browser: the pictures of a recording as they are, beside another sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minvae_pyro.audio.files import Sound
from minvae_pyro.enhancement.output import sound_track_for
from minvae_pyro.errors import UserError
from minvae_pyro.media import film
from minvae_pyro.media.container import open_media
from minvae_pyro.media.survey import survey

_IN_WEBM = {"vp8", "vp9", "av1"}  # codecs of pictures that browsers play in it; others in MP4


def write_film(path: Path, picture: Path, sound: Sound) -> Path:
    """Write a film of the pictures of a file, packet by packet, and a sound that begins at the zero of that file.

    Args:
        path: what to write; its suffix is replaced by that of the container that suits the pictures.
        picture: the file with the pictures.
        sound: up to two channels are kept, of more their mean.

    Returns:
        The file.

    Raises:
        UserError: the file has no pictures, or they cannot be copied.
    """
    file = survey(picture)
    if file.video is None or not len(file.shown):
        raise UserError(f"{picture} has no pictures that a player could show beside the sound.")
    with open_media(picture) as source:
        stream: Any = source.streams[file.video]
        codec = stream.codec_context.name.removesuffix("-alpha")
    path = path.with_suffix(".webm" if codec in _IN_WEBM else ".mp4")
    heard = sound if len(sound.waveform) <= 2 else Sound(sound.mono()[None], sound.sample_rate)
    film.write_film(path, picture, sound_track_for(path, heard, path.stem))
    return path
