"""Read and write sound files."""

import io
import stat
from dataclasses import dataclass
from pathlib import Path

import soundfile
import soxr  # type: ignore[import-untyped]
import torch
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.files import FilePath, path_of, reader, write_atomic

_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
# To FFmpeg at once: libsndfile could take an MPEG stream for MP3, and its MP3 reader prints to stderr.
_MEDIA = {".mp3", ".mp4", ".m4v", ".m4a", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".avi", ".ts", ".3gp"}


@dataclass(frozen=True)
class Sound:
    """A waveform and its sample rate, which never travel apart.

    Attributes:
        waveform: (channels, samples) float32.
        sample_rate: in Hz.

    Example:
        >>> sound = Sound(torch.zeros(2, 44100), 44100)
        >>> sound.seconds, sound.mono().shape, sound.resample(16000).waveform.shape
        (1.0, torch.Size([44100]), torch.Size([2, 16000]))
    """

    waveform: Tensor
    sample_rate: int

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
        return Sound(torch.from_numpy(samples).T.contiguous(), sample_rate)


@reader
def read_sound(path: Path) -> Sound:
    """Read all channels of a sound file, or of the sound track of a video, at the file's own rate.

    WAV, FLAC, MP3 and OGG are read, and containers that FFmpeg reads (MP4, MKV, MPG, MOV ...), whose sound is placed on
    the container's clock (see :mod:`minvae_pyro.audio.tracks`). The file is a path, or opened for reading bytes.

    Raises:
        UserError: missing, a folder, unreadable, without sound, damaged, empty, or with non-finite samples.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}. Give a sound or video file.") from error
    if not stat.S_ISREG(status.st_mode):
        what = "folder" if stat.S_ISDIR(status.st_mode) else "device or pipe"
        raise UserError(f"{path} is a {what}: give a sound or video file.")
    if status.st_size == 0:
        raise UserError(f"{path} is empty (0 bytes): give a sound or video file.")
    sound = None if path.suffix.lower() in _MEDIA else _read_plain(path)
    if sound is None:
        from minvae_pyro.audio.tracks import read_track  # loads FFmpeg, 0.1 s that other sounds do not wait

        samples, rate = read_track(path)
        sound = Sound(torch.from_numpy(samples), rate)
    if sound.waveform.shape[-1] == 0:
        raise UserError(f"{path} holds no samples: there is no sound to read.")
    bad = int((~torch.isfinite(sound.waveform)).sum())
    if bad:
        raise UserError(f"{path} has {bad} samples that are NaN or infinite: export it again.")
    return sound


def _read_plain(path: Path) -> Sound | None:
    """Read by libsndfile; None when it does not know the format."""
    try:
        file = soundfile.SoundFile(path)
    except soundfile.LibsndfileError:
        return None
    with file:
        try:
            samples = file.read(dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise UserError(f"{path} is damaged and cannot be read: use a complete copy.") from error
        if len(samples) < file.frames:
            raise UserError(f"{path} is cut short: {len(samples)} of its {file.frames} samples are there.")
        return Sound(torch.from_numpy(samples).T.contiguous(), file.samplerate)


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
    if not torch.isfinite(waveform).all():
        raise ValueError("the sound to write has NaN or infinite samples")
    if waveform.numel() and (peak := torch.stack([-waveform.min(), waveform.max()]).max()) > 1:
        waveform = waveform / peak
    encoded = io.BytesIO()
    try:
        soundfile.write(encoded, waveform.T.numpy(), sound.sample_rate, "PCM_24", format=file_format)
    except soundfile.LibsndfileError as error:
        raise UserError(f"cannot write {path} at {sound.sample_rate} Hz: {error.error_string}") from error
    write_atomic(path, encoded.getbuffer(), overwrite=overwrite)
