"""Overlap-add: of long windows over a recording, and of STFT frames while they arrive."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from minvae_pyro.audio.stft import STFT


@dataclass(frozen=True)
class Windows:
    """Windows over a recording, in any unit (separation counts in STFT hops).

    Attributes:
        starts: where each window starts, the first at 0.
        length: of every window; the last one ends with the recording.
    """

    starts: tuple[int, ...]
    length: int

    def __len__(self) -> int:
        return len(self.starts)

    def of(self, waveform: Tensor, window: int, steps: int = 1) -> Tensor:
        """The part of a sequence (..., steps) under a window, at ``steps`` a unit; a view."""
        return waveform[..., self.starts[window] * steps : (self.starts[window] + self.length) * steps]

    def add(self, whole: Tensor, window: int, estimate: Tensor, steps: int = 1) -> None:
        """Add the estimate of a window to the whole, faded into those of its neighbours.

        Args:
            whole: (..., steps) at ``steps`` a unit, changed in place.
            window: its number.
            estimate: (..., steps) from the start of the window on, up to one step beyond its end.
            steps: steps in a unit.
        """
        start, count = self.starts[window], estimate.shape[-1]
        position = start + torch.arange(count, dtype=torch.float64) / steps
        whole[..., start * steps : start * steps + count] += estimate * self.weight(window, position).float()

    def weight(self, window: int, position: Tensor) -> Tensor:
        """Weight of a window at some positions: 1, but a ramp where it overlaps a neighbour.

        The weights of all windows sum to 1 at every position of the recording, so estimates that agree pass
        through unchanged (equal-gain fade).

        Args:
            window: its number.
            position: in the unit of ``starts``, within the window.
        """
        weight = position.new_ones(position.shape)
        if window > 0:
            weight = weight * self._fade_in(window, position)
        if window + 1 < len(self):
            weight = weight * (1 - self._fade_in(window + 1, position))
        return weight

    def _fade_in(self, window: int, position: Tensor) -> Tensor:
        start, end = self.starts[window], self.starts[window - 1] + self.length
        return ((position - start) / (end - start)).clamp(0, 1)


def split(total: int, longest: int, overlap: int) -> Windows:
    """Cover ``total`` units by as few windows as possible.

    Args:
        total: length of the recording, at least 1.
        longest: a window has at most so many units.
        overlap: neighbours share about so many units, at least 2 and at most a third of ``longest``.

    Example:
        >>> split(100, longest=40, overlap=10)
        Windows(starts=(0, 30, 60), length=40)
    """
    if total <= longest:
        return Windows((0,), total)
    count = math.ceil((total - overlap) / (longest - overlap))
    length = math.ceil((total + (count - 1) * overlap) / count)
    return Windows(tuple(round(i * (total - length) / (count - 1)) for i in range(count)), length)


class StreamingSTFT:
    """The frames of a sound while it arrives: those that the STFT of the whole sound has.

    Args:
        stft: the transform.

    Attributes:
        arrived: samples so far.
    """

    def __init__(self, stft: STFT) -> None:
        self.arrived = 0
        self._stft = stft
        # what is before the recording is silent
        self._samples = torch.zeros(_reach(stft) * stft.hop)

    @property
    def frames(self) -> int:
        """Frames so far, of which every sample has arrived."""
        return max(0, (self.arrived - self._stft.n_fft // 2) // self._stft.hop + 1)

    def push(self, samples: Tensor) -> None:
        """Take in the samples that come next, (samples,)."""
        self._samples = torch.cat([self._samples, samples])
        self.arrived += len(samples)

    def spectrum(self, begin: int, end: int) -> Tensor:
        """Frames ``begin`` up to, not including, ``end``, (N, F), on the CPU."""
        reach, hop, first = _reach(self._stft), self._stft.hop, self.arrived - len(self._samples)
        start = (begin - reach) * hop - first
        stop = (end - 1) * hop + self._stft.n_fft // 2 - first
        spectrum = self._stft(self._samples[start:stop].to(self._stft.window.device)).cpu()
        return spectrum[reach : reach + end - begin]

    def forget(self, frame: int) -> None:
        """Drop what only frames before this one ask for."""
        first = (frame - _reach(self._stft)) * self._stft.hop
        self._samples = self._samples[max(0, first - (self.arrived - len(self._samples))) :]


class OverlapAdd:
    """The inverse STFT while the frames arrive: every sample as soon as no later frame can change it.

    Args:
        stft: the transform.

    Attributes:
        frames: so far.
    """

    def __init__(self, stft: STFT) -> None:
        self.frames = 0
        self._stft = stft
        self._kept = torch.zeros(0, stft.frequencies, dtype=torch.complex64)
        self._emitted = 0

    @property
    def delay(self) -> int:
        """Samples that the last ones given lie behind the centre of the frame that comes next."""
        return max(self._stft.n_fft // 2, self._stft.hop)

    def push(self, frames: Tensor, total: int | None = None) -> Tensor:
        """Take in the frames that come next, and give the samples that they settle.

        Args:
            frames: (N, F) complex, on the CPU.
            total: length of the whole signal, with its last frames.

        Returns:
            (samples,) from where the last ones ended.
        """
        hop = self._stft.hop
        self._kept = torch.cat([self._kept, frames])
        self.frames += len(frames)
        first, span = self.frames - len(self._kept), (len(self._kept) - 1) * hop
        settled = self.frames * hop - self.delay if total is None else total
        if span == 0 or settled <= self._emitted:
            return torch.zeros(0)
        waveform = self._stft.inverse(self._kept.to(self._stft.window.device), span).cpu()
        samples = waveform[self._emitted - first * hop : settled - first * hop]
        self._emitted = settled
        # the next samples lie under frames from here on
        self._kept = self._kept[max(0, settled // hop - _reach(self._stft) - first) :]
        return samples


def _reach(stft: STFT) -> int:
    """Frames on one side that share samples with a frame."""
    return math.ceil(stft.n_fft // 2 / stft.hop)
