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
        """Add the estimate of a window to the whole, in place, faded into those of its neighbours.

        Both are (..., steps) at ``steps`` a unit; the estimate covers the window and up to one step beyond its end.
        """
        start, count = self.starts[window], estimate.shape[-1]
        position = start + torch.arange(count, dtype=torch.float64) / steps
        whole[..., start * steps : start * steps + count] += estimate * self.weight(window, position).float()

    def weight(self, window: int, position: Tensor) -> Tensor:
        """Weight of a window at positions in the unit of ``starts``: 1, but a ramp where it overlaps a neighbour.

        The weights of all windows sum to 1 at every position of the recording, so estimates that agree pass through
        unchanged (equal-gain fade).
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
    """Cover ``total`` units (at least 1) by as few windows of at most ``longest`` units as possible.

    Neighbours share about ``overlap`` units, at least 2 and at most a third of ``longest``.

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
    """The STFT of a sound while it arrives, ``samples`` so far: every frame as soon as it has all its samples."""

    def __init__(self, stft: STFT) -> None:
        self.samples = 0
        self._stft = stft
        self._kept = torch.zeros(stft.n_fft // 2)  # from the next frame on; what is before the sound is silent

    def push(self, samples: Tensor) -> Tensor:
        """Take in the samples that come next, and give the frames that they complete, (N, F) on the CPU."""
        stft = self._stft
        self._kept = torch.cat([self._kept, samples])
        self.samples += len(samples)
        if len(self._kept) < stft.n_fft:
            return torch.zeros(0, stft.frequencies, dtype=torch.complex64)
        pieces = self._kept.to(stft.window.device).unfold(0, stft.n_fft, stft.hop)
        self._kept = self._kept[len(pieces) * stft.hop :]
        return torch.fft.rfft(pieces * stft.window).cpu()


class OverlapAdd:
    """The inverse STFT while the frames arrive: every sample as soon as no later frame can change it.

    ``frames`` counts them; ``delay`` is the samples from the last one given to the centre of the frame that comes next.
    """

    def __init__(self, stft: STFT) -> None:
        self.frames = 0
        self.delay = max(stft.n_fft // 2, stft.hop)
        self._stft = stft
        self._kept = torch.zeros(0, stft.frequencies, dtype=torch.complex64)
        self._given = 0

    def push(self, frames: Tensor, total: int | None = None) -> Tensor:
        """Take in the next frames, (N, F) complex on the CPU, and give the samples that no later frame can change.

        With the last frames, ``total`` is the number of samples of the whole signal.
        """
        hop = self._stft.hop
        self._kept = torch.cat([self._kept, frames])
        self.frames += len(frames)
        settled = self.frames * hop - self.delay if total is None else total
        if settled <= self._given:
            return torch.zeros(0)
        waveform = self._stft.inverse(self._kept.to(self._stft.window.device), (len(self._kept) - 1) * hop).cpu()
        begin = (self.frames - len(self._kept)) * hop
        samples = waveform[self._given - begin : settled - begin]
        self._given = settled
        # the next samples lie under half of these, and the other half shares samples with those
        self._kept = self._kept[-2 * math.ceil(self.delay / hop) :]
        return samples
