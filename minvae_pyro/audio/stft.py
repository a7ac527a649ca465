"""Short-time Fourier transform with centred frames and perfect reconstruction."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class STFT(torch.nn.Module):
    """Short-time Fourier transform under a sine window, and its inverse.

    Frame ``n`` is centred at sample ``n * hop``. A signal of ``T`` samples has ``ceil(T / hop) + 1`` frames: its end is
    padded with zeros to the next frame centre, since with a hop above half a window the last samples would otherwise
    lie under no frame and could not be reconstructed. Zeros on both sides (no reflection) also let signals shorter than
    a window through.

    Args:
        n_fft: window and transform length in samples, 2 to 65,536; gives ``n_fft // 2 + 1`` frequencies.
        hop: samples from one frame to the next, at least ``n_fft // 64`` and at most ``3 * n_fft // 4``.
        sample_rate: in Hz, 1,000 to 384,000; only :meth:`frame_times` depends on it.

    Raises:
        ValueError: a number is beyond its range.

    Example:
        >>> stft = STFT()
        >>> spectrum = stft(torch.randn(16000))
        >>> spectrum.shape, stft.frame_times(3)
        (torch.Size([32, 513]), tensor([0.0000, 0.0333, 0.0666], dtype=torch.float64))
        >>> stft.inverse(spectrum, 16000).shape
        torch.Size([16000])
    """

    window: Tensor

    def __init__(self, n_fft: int = 1024, hop: int = 533, sample_rate: int = 16000) -> None:
        super().__init__()
        if not 2 <= n_fft <= 65_536 or not 1_000 <= sample_rate <= 384_000:
            raise ValueError("a window must have 2 .. 65536 samples, and a second 1000 .. 384000")
        shortest, longest = max(1, n_fft // 64), 3 * n_fft // 4
        if not shortest <= hop <= longest:
            raise ValueError(f"hop must lie in {shortest} .. {longest} for a window of {n_fft}, not {hop}")
        self.n_fft = n_fft
        self.hop = hop
        self.sample_rate = sample_rate
        # Half a sample off zero, so that the window is symmetric and nowhere zero.
        phase = (torch.arange(n_fft, dtype=torch.float64) + 0.5) * (math.pi / n_fft)
        self.register_buffer("window", phase.sin().float(), persistent=False)

    def extra_repr(self) -> str:
        """Settings, for ``print``."""
        return f"n_fft={self.n_fft}, hop={self.hop}, sample_rate={self.sample_rate}"

    @property
    def frequencies(self) -> int:
        """Number of frequency bins."""
        return self.n_fft // 2 + 1

    @property
    def cell_power(self) -> float:
        """Mean power of a cell of white noise whose root mean square is one: the sum of the squared window."""
        return float(self.window.square().sum())

    def frames(self, samples: int) -> int:
        """Number of frames of a signal of ``samples`` samples."""
        return math.ceil(samples / self.hop) + 1

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform (..., samples), float32 or float64, to (..., frames, frequencies) complex of the same precision."""
        samples = waveform.shape[-1]
        if samples == 0:
            raise ValueError("a waveform without samples has no spectrum")
        padded = torch.nn.functional.pad(waveform, (0, self._covered(self.frames(samples)) - samples))
        rows = padded.reshape(-1, padded.shape[-1])  # torch's transform takes one axis of signals
        spectrum = torch.stft(rows, pad_mode="constant", return_complex=True, **self._settings(waveform.dtype))
        return spectrum.mT.reshape(*waveform.shape[:-1], -1, self.frequencies)

    def inverse(self, spectrum: Tensor, samples: int) -> Tensor:
        """Inverse of (..., frames, frequencies) by overlap-add, (..., samples) real.

        ``samples`` is the length of the signal that it came from. Of a changed spectrum it is the least-squares inverse
        (Griffin & Lim 1984, eq. 6).
        """
        if spectrum.shape[-2] != self.frames(samples):
            raise ValueError(f"{samples} samples have {self.frames(samples)} frames, not {spectrum.shape[-2]}")
        rows = spectrum.reshape(-1, *spectrum.shape[-2:]).mT
        length = self._covered(spectrum.shape[-2])
        waveform = torch.istft(rows, length=length, **self._settings(spectrum.real.dtype))
        return waveform.reshape(*spectrum.shape[:-2], length)[..., :samples]

    def frame_times(self, frames: int) -> Tensor:
        """Centre of each frame in seconds, (frames,) float64."""
        number = torch.arange(frames, dtype=torch.float64, device=self.window.device)
        return number * (self.hop / self.sample_rate)

    def _settings(self, dtype: torch.dtype) -> dict[str, Any]:
        sizes = {"n_fft": self.n_fft, "hop_length": self.hop, "win_length": self.n_fft}
        return {"window": self.window.to(dtype), "center": True, "normalized": False, "onesided": True, **sizes}

    def _covered(self, frames: int) -> int:
        """Samples from the centre of the first frame to that of the last."""
        return (frames - 1) * self.hop


def stft_settings(stft: STFT) -> dict[str, int]:
    """The three numbers from which an :class:`STFT` is made again."""
    return {"n_fft": stft.n_fft, "hop": stft.hop, "sample_rate": stft.sample_rate}
