"""What other processes do for many recordings: look how long they are, read them, write what was found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from minvae_pyro.audio.clock import SoundClock
from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.enhancement.inputs import Item
from minvae_pyro.enhancement.output import is_film, write_pictured
from minvae_pyro.enhancement.recording import Recording, read_recording
from minvae_pyro.errors import UserError, WriteError
from minvae_pyro.files import failed_write, make_folder
from minvae_pyro.media.film import check_film
from minvae_pyro.video.track import MouthTrack


@dataclass(frozen=True)
class Options:
    """How recordings are read and films written.

    Attributes:
        audio_track: see :func:`minvae_pyro.enhance`.
        video_track: see there.
        keep_original: see :func:`minvae_pyro.enhancement.output.write_enhancement`.
    """

    audio_track: int | None = None
    video_track: int | None = None
    keep_original: bool = False


@dataclass(frozen=True)
class Parcel:
    """A recording on its way: arrays, for tensors would go through shared memory, of which containers have little.

    Attributes:
        waveform: (channels, samples).
        sample_rate: Hz.
        clock: of the sound.
        mouth: crops, times and found of the mouth track; None without.
        notes: of the recording.
    """

    waveform: NDArray[np.float32]
    sample_rate: int
    clock: SoundClock | None
    mouth: tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.bool_]] | None
    notes: tuple[str, ...]

    def open(self) -> Recording:
        """The recording."""
        sound = Sound(torch.from_numpy(self.waveform), self.sample_rate, self.clock, self.notes)
        mouth = None
        if self.mouth is not None:
            crops, times, found = map(torch.from_numpy, self.mouth)
            mouth = MouthTrack(crops, times, found)
        return Recording(sound, mouth, self.notes)


def look(files: list[Path]) -> list[float]:
    """Seconds of sound that files say to hold; 0 where they do not say it."""
    return [_seconds(file) for file in files]


def _seconds(file: Path) -> float:
    try:
        return float(soundfile.info(str(file)).duration)
    except (OSError, RuntimeError, ValueError, TypeError):
        pass  # no format of libsndfile's
    import av

    from minvae_pyro.media.container import open_media

    try:
        with open_media(file) as container:
            return max(0.0, (container.duration or 0) / av.time_base)
    except UserError:
        return 0.0


def fetch(item: Item, options: Options) -> Parcel | str:
    """Read sound and mouth, or say why that cannot be; whatever a codec does, others are to go on."""
    try:
        with one_thread():
            if is_film(item.output):
                check_film(item.output, item.picture, options.video_track)
            recording = read_recording(
                item.source, video=item.video, audio_track=options.audio_track, video_track=options.video_track
            )
    except UserError as error:
        return str(error)
    except MemoryError:
        return f"there is not enough memory for {item.source}: cut it into shorter files."
    except Exception as error:
        return f"cannot read {item.source} ({type(error).__name__}: {error})"
    sound, mouth = recording.sound, recording.mouth
    track = None if mouth is None else (mouth.crops.numpy(), mouth.times.numpy(), mouth.found.numpy())
    return Parcel(sound.waveform.numpy(), sound.sample_rate, sound.clock, track, recording.notes)


def deliver(
    item: Item,
    speech: NDArray[np.float32],
    sample_rate: int,
    clock: SoundClock | None,
    original: NDArray[np.float32] | None,
    options: Options,
    overwrite: bool,
) -> list[str] | str:
    """Write the output of an item; notes on what was left out, or why it cannot be written.

    Raises:
        WriteError: nothing else can be written either.
    """
    sound = Sound(torch.from_numpy(speech), sample_rate, clock)
    try:
        make_folder(item.output.parent)
        if not is_film(item.output):
            write_sound(item.output, sound, overwrite=overwrite)
            return []
        kept = None if original is None else torch.from_numpy(original)
        tracks = {"audio_track": options.audio_track, "video_track": options.video_track}
        with one_thread():
            return write_pictured(item.output, sound, item.source, item.video, kept, **tracks, overwrite=overwrite)
    except WriteError as error:
        if failed_write(error):
            raise
        return str(error)
    except UserError as error:
        return str(error)
    except Exception as error:
        return f"cannot write {item.output} ({type(error).__name__}: {error})"
