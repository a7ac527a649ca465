"""Pictures of a sound over time on the scales of the ear: mel bands, and a constant-Q transform, by librosa."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from minvae_pyro.audio.libraries import load_librosa
from minvae_pyro.audio.pitch import Pitch
from minvae_pyro.errors import UserError
from minvae_pyro.plots.style import SKY

Scale = Literal["linear", "mel", "constant-q"]
"""How frequencies are spread over a picture."""

SCALES: tuple[Scale, ...] = ("linear", "mel", "constant-q")

_MELS = 96
_LOWEST = 55.0  # Hz, of the constant-Q transform
_PER_OCTAVE = 24
_HIGHEST = 0.85  # of half the sample rate; the filters above it would reach beyond
_TICKS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # kHz


@dataclass(frozen=True)
class Rows:
    """The rows of a picture from the bottom up, each one step high.

    Attributes:
        power: (rows, columns).
        centres: (rows,) Hz, increasing.
    """

    power: NDArray[np.float32]
    centres: NDArray[np.float64]

    def height(self, frequency: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where frequencies in Hz lie, in rows from the bottom; NaN stays NaN."""
        return np.asarray(np.interp(frequency, self.centres, np.arange(len(self.centres)) + 0.5))

    def label(self, axes: Axes) -> None:
        """Number the vertical axis in kHz, octave by octave."""
        ticks = [tick for tick in _TICKS if self.centres[0] <= 1000 * tick <= self.centres[-1]]
        axes.set_yticks(self.height(1000 * np.array(ticks)), [f"{tick:g}" for tick in ticks])


def check_scale(scale: str) -> None:
    """See that a scale can be drawn.

    Raises:
        UserError: there is none of this name, or librosa cannot be loaded.
    """
    if scale not in SCALES:
        raise UserError(f"there is no scale {scale} of frequencies: choose one of {', '.join(SCALES)}.")
    if scale != "linear":
        load_librosa(f"a {scale} picture")


def mel_rows(power: NDArray[np.float32], sample_rate: int) -> Rows:
    """Sum a power spectrogram, (frequencies, columns), in mel bands (Slaney's, of equal area)."""
    librosa = load_librosa("a mel picture")
    n_fft = 2 * (len(power) - 1)
    bands = min(_MELS, len(power) // 4)  # with more, the lowest would hold no frequency
    filters = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=bands)
    centres = librosa.mel_frequencies(bands + 2, fmax=sample_rate / 2)[1:-1]
    return Rows(np.maximum(filters @ power, 0), centres)


def constant_q_rows(sound: Tensor, sample_rate: int, most_columns: int) -> Rows:
    """Power of a sound, (samples,), in 24 bands an octave from 55 Hz up, at most so many columns.

    Raises:
        UserError: the sample rate leaves no octave.
    """
    librosa = load_librosa("a constant-q picture")
    octaves = np.log2(_HIGHEST * sample_rate / 2 / _LOWEST)
    if octaves < 1:
        raise UserError(f"a constant-q picture begins at {_LOWEST:g} Hz: {sample_rate} Hz leave no room above it.")
    samples = sound.detach().cpu().float().numpy()
    hop = 2 ** max(6, int(np.log2(0.01 * sample_rate)))  # about 10 ms; its octaves halve it
    # librosa warns of sounds that are shorter than its longest filter
    padded = np.pad(samples, (0, max(0, 2 * sample_rate - len(samples))))
    bands = librosa.cqt(
        padded,
        sr=sample_rate,
        hop_length=hop,
        fmin=_LOWEST,
        n_bins=int(octaves * _PER_OCTAVE),
        bins_per_octave=_PER_OCTAVE,
    )
    power = np.square(np.abs(bands))[:, : max(1, -(-len(samples) // hop))]
    share = -(-power.shape[1] // most_columns)
    starts = np.arange(0, power.shape[1], share)
    power = np.add.reduceat(power, starts, axis=1) / np.diff(starts, append=power.shape[1])
    return Rows(power.astype(np.float32), _LOWEST * 2 ** (np.arange(len(power)) / _PER_OCTAVE))


def draw_pitch(axes: Axes, pitch: Pitch, height: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> None:
    """Draw the pitch over a picture, where there is a voice, and mark when there is one along the bottom."""
    axes.plot(pitch.times, height(pitch.frequency), color=SKY, linewidth=1.4, label="pitch")
    axes.fill_between(
        pitch.times,
        0,
        0.02,
        where=pitch.voiced,
        transform=axes.get_xaxis_transform(),
        color=SKY,
        linewidth=0,
        step="mid",
    )
