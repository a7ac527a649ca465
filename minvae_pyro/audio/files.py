"""Read and write sound files."""

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import soundfile
import soxr  # type: ignore[import-untyped]
import torch
from torch import Tensor

from minvae_pyro.audio.clock import SoundClock
from minvae_pyro.errors import UserError
from minvae_pyro.files import FilePath, path_of, reader, replacing
from minvae_pyro.media.wav import wav_bytes

_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
# What libsndfile reads, to the sample; it could take an MPEG stream for MP3, and its MP3 reader prints to stderr.
_PLAIN = (b"RIFF", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd", b"caff")
_NOT_BY_LIBSNDFILE = {"MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "GSM610"}  # or not to their end
_MISSING = 0.01  # of what is announced may be missing: a coder fills its last block


@dataclass(frozen=True)
class Sound:
    """A waveform and its sample rate, which never travel apart.

    Attributes:
        waveform: (channels, samples) float32.
        sample_rate: in Hz.
        clock: when its samples were heard, on the time line that a video of it has too; None if just as they are
            counted.
        notes: plain sentences on the file that it is from.

    Example:
        >>> sound = Sound(torch.zeros(2, 44100), 44100)
        >>> sound.seconds, sound.mono().shape, sound.resample(16000).waveform.shape
        (1.0, torch.Size([44100]), torch.Size([2, 16000]))
    """

    waveform: Tensor
    sample_rate: int
    clock: SoundClock | None = None
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.waveform.shape[-1] / self.sample_rate

    def mono(self) -> Tensor:
        """Mean of the channels, (samples,)."""
        return self.waveform.mean(dim=0)

    def resample(self, sample_rate: int) -> "Sound":
        """The same sound at another rate in Hz, ``round(samples * new / old)`` samples long (within one).

        Any ratio goes: the filter of libsoxr, unlike a table of polyphase kernels, does not grow with the smallest
        common multiple of the two rates.
        """
        if sample_rate == self.sample_rate:
            return self
        samples = soxr.resample(self.waveform.T.cpu().numpy(), self.sample_rate, sample_rate, quality="VHQ")
        return replace(self, waveform=torch.from_numpy(samples).T.contiguous(), sample_rate=sample_rate)


@reader
def read_sound(path: Path, track: int | None = None) -> Sound:
    """Read all channels of a sound file, or of a sound track of a video, at the file's own rate.

    WAV, FLAC, MP3 and OGG are read, and containers that FFmpeg reads (MP4, MKV, MPG, MOV ...). What the file holds is
    read, whatever length it announces; ``notes`` says where it ends early. Sample 0 is when the earliest track starts
    (see :mod:`minvae_pyro.media.timeline`).

    Args:
        path: of the file; or one opened for reading bytes.
        track: counted from 1, where there are several; by default the default track.

    Raises:
        UserError: missing, a folder, unreadable, without sound, damaged, empty, or with non-finite samples.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Give a sound or video file.") from error
    if not stat.S_ISREG(status.st_mode):
        what = "folder" if stat.S_ISDIR(status.st_mode) else "device or pipe"
        raise UserError(f"{path} is a {what}: give a sound or video file.")
    if status.st_size == 0:
        raise UserError(f"{path} is empty (0 bytes): give a sound or video file.")
    sound = None if track else _read_plain(path)
    if sound is None:
        from minvae_pyro.audio.tracks import read_track  # loads FFmpeg, 0.1 s that other sounds do not wait

        read = read_track(path, track)
        sound = Sound(torch.from_numpy(read.samples), read.rate, read.clock, read.notes)
    if sound.waveform.shape[-1] == 0:
        raise UserError(f"{path} holds no samples: there is no sound to read.")
    bad = int((~torch.isfinite(sound.waveform)).sum())
    if bad:
        raise UserError(f"{path} has {bad} samples that are NaN or infinite: export it again.")
    return sound


def _read_plain(path: Path) -> Sound | None:
    """Read by libsndfile; None where that is no format of its own, or it finds fault with the file."""
    try:
        with open(path, "rb") as file:
            if not file.read(4).startswith(_PLAIN):
                return None
        with soundfile.SoundFile(os.fsencode(path)) as file:
            if file.format == "MP3" or file.subtype in _NOT_BY_LIBSNDFILE:
                return None
            announced, rate = file.frames, file.samplerate
            samples = file.read(dtype="float32", always_2d=True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Give a sound or video file.") from error
    except (soundfile.LibsndfileError, ValueError):
        return None
    if len(samples) < max(announced, 1):
        return None  # FFmpeg leaves a gap where something is damaged
    return Sound(torch.from_numpy(samples).T.contiguous(), rate, notes=_ends_early(path, len(samples) / rate))


def _ends_early(path: Path, seconds: float) -> tuple[str, ...]:
    """A note where less is there than the header of a WAV file says; libsndfile says what is there."""
    announced, there = wav_bytes(path) or (0, 0)
    if there >= (1 - _MISSING) * announced:
        return ()
    return (f"the file ends early: {seconds:.1f} of its {seconds * announced / there:.1f} s are there",)


def write_sound(path: FilePath, sound: Sound, *, overwrite: bool = False) -> None:
    """Write a WAV or FLAC file, as the suffix says, whole or not at all.

    24-bit samples: unlike 16-bit ones they keep a quiet recording intact (rounding at -144 dB), and unlike float ones
    every player takes them. A sound whose peak passes 1 is scaled down, for it would clip.

    Raises:
        UserError: another suffix, an existing file, a missing or unwritable folder.
        ValueError: the sound has NaN or infinite samples.
    """
    path = path_of(path)
    file_format = _FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise UserError(f"cannot write {path}: the name must end in .wav or .flac.")
    waveform = sound.waveform.detach().to("cpu", torch.float32)
    if waveform.numel():
        # a NaN is both lowest and highest
        peak = torch.stack(waveform.aminmax()).abs().max()
        if not torch.isfinite(peak):
            raise ValueError("the sound to write has NaN or infinite samples")
        if peak > 1:
            waveform = waveform / peak
    with replacing(path, overwrite=overwrite) as part, part.open("wb") as file:
        watched = _Watched(file)
        try:
            soundfile.write(watched, waveform.T.numpy(), sound.sample_rate, "PCM_24", format=file_format)
        except soundfile.LibsndfileError as error:
            raise UserError(f"cannot write {path} at {sound.sample_rate} Hz: {error.error_string}") from error
        except AssertionError:
            if watched.error is None:
                raise
        if watched.error is not None:
            raise watched.error
        file.flush()


class _Watched:
    """A file that keeps the error of a write: libsndfile calls it from C, where an exception is lost."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell = file.seek, file.tell
        self.error: OSError | None = None
        self._file = file

    def write(self, content: bytes) -> int:
        """Bytes written, 0 where it fails."""
        try:
            return self._file.write(content)
        except OSError as error:
            self.error = self.error or error
            return 0
