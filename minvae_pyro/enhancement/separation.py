"""Separate speech from noise in a waveform of any length, at the sample rate of the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from minvae_pyro.checkpoints.checkpoint import Checkpoint
from minvae_pyro.inference import infer
from minvae_pyro.utterances import Utterances
from minvae_pyro.video.track import MouthTrack

WINDOW_SECONDS = 24.0
"""Longer recordings are separated in windows, so that memory does not grow with them."""

SILENCE = 1e-8
"""Root mean square up to which there is nothing to hear: -160 dB."""

_OVERLAP_SECONDS = 2.0
_BATCH = 4  # windows that are inferred together
_CANCELLED = 1e-3  # share of the power that the mean of opposite channels may keep


@dataclass(frozen=True)
class Separation:
    """Speech out of a mixture.

    Attributes:
        speech: (channels, samples).
        audio_responsibility: (N,); 1/2 where a whole window is silent. None for a prior without ``alpha``, and
            where all is silent.
        objective: after each iteration, nats per frame, the mean over windows; one that stopped earlier than others
            counts as it stood at its end. Empty where all is silent.
    """

    speech: Tensor
    audio_responsibility: Tensor | None
    objective: list[float]


def separate(
    checkpoint: Checkpoint,
    channels: Tensor,
    mouth: MouthTrack | None,
    *,
    progress: Callable[[int, int], None],
    **inference: Any,
) -> Separation:
    """Find the gain of each time and frequency on the mean of the channels, and apply it to all of them.

    Every window has a noise model of its own. Neighbours are faded into each other over two seconds.

    Args:
        checkpoint: the model, on the device to compute on.
        channels: (channels, samples) at the rate of ``checkpoint.stft``.
        mouth: one crop for each of its N frames; None without video.
        progress: told how many steps are done, of how many.
        **inference: engine, seed and settings, see :func:`minvae_pyro.inference.infer`.
    """
    stft, device = checkpoint.stft, checkpoint.stft.window.device
    hop, samples = stft.hop, channels.shape[-1]
    hops = stft.frames(samples) - 1
    windows = split(hops, *(round(s * stft.sample_rate / hop) for s in (WINDOW_SECONDS, _OVERLAP_SECONDS)))
    channels = pad(channels, (0, hops * hop - samples))
    heard = _mix_down(channels)
    speech = torch.zeros_like(channels)
    trust = torch.zeros(hops + 1)  # of the loud windows so far, in the sound
    weights = torch.zeros(hops + 1)
    objectives: list[Tensor] = []
    with_alpha = False

    loud = [w for w in range(len(windows)) if level(_samples_of(heard, windows, w, hop)) > SILENCE]
    groups = [loud[first : first + _BATCH] for first in range(0, len(loud), _BATCH)]
    count = _Count(progress, len(groups))
    for group in groups:
        pieces = torch.stack([_samples_of(heard, windows, w, hop) for w in group])
        scaled = pieces / torch.stack([level(piece) for piece in pieces])[:, None].float()
        inferred = infer(
            checkpoint,
            _utterances(stft(scaled.to(device)), mouth, windows, group),
            callback=count,
            **inference,
        )
        count.finish()
        objectives += [torch.tensor(inferred.objective, dtype=torch.float64)] * len(group)
        with_alpha = inferred.audio_responsibility is not None
        for row, window in enumerate(group):
            piece = _samples_of(channels, windows, window, hop)
            filtered = stft.inverse(inferred.gain[row] * stft(piece.to(device)), piece.shape[-1]).cpu()
            _samples_of(speech, windows, window, hop).add_(filtered * _ramp(windows, window, hop))
            if inferred.audio_responsibility is not None:
                frames = slice(windows.starts[window], windows.starts[window] + windows.length + 1)
                ramp = _ramp(windows, window, 1, windows.length + 1)
                trust[frames] += ramp * inferred.audio_responsibility[row].cpu()
                weights[frames] += ramp
    return Separation(
        speech[:, :samples],
        trust + 0.5 * (1 - weights) if with_alpha else None,
        _mean(objectives),
    )


def level(waveform: Tensor) -> Tensor:
    """Root mean square over everything, float64."""
    return waveform.double().square().mean().sqrt()


def _mix_down(channels: Tensor) -> Tensor:
    """Mean of the channels, (samples,); the loudest one where the mean cancels."""
    mean = channels.mean(0)
    power = channels.double().square().mean(1)
    if mean.double().square().mean() >= _CANCELLED * power.mean():
        return mean
    return channels[power.argmax()]


def _samples_of(waveform: Tensor, windows: Windows, window: int, hop: int) -> Tensor:
    """The part of a (..., samples) waveform under a window; a view."""
    start = windows.starts[window] * hop
    return waveform[..., start : start + windows.length * hop]


def _ramp(windows: Windows, window: int, steps: int, count: int | None = None) -> Tensor:
    """Weights of a window at ``steps`` positions a hop."""
    positions = torch.arange(windows.length * steps if count is None else count, dtype=torch.float64)
    return windows.weight(window, windows.starts[window] + positions / steps).float()


def _utterances(spectrum: Tensor, mouth: MouthTrack | None, windows: Windows, group: Sequence[int]) -> Utterances:
    if mouth is None or not mouth.found.any():
        return Utterances.from_spectrum(spectrum)
    rows = [slice(windows.starts[w], windows.starts[w] + windows.length + 1) for w in group]
    crops, found = (torch.stack([part[r] for r in rows]) for part in (mouth.crops, mouth.found))
    return Utterances.from_spectrum(spectrum, crops.to(spectrum.device), found.to(spectrum.device))


def _mean(objectives: Sequence[Tensor]) -> list[float]:
    """Mean of sequences, each going on at its last value until the longest ends."""
    if not objectives:
        return []
    longest = max(map(len, objectives))
    return torch.stack([torch.cat([one, one[-1:].expand(longest - len(one))]) for one in objectives]).mean(0).tolist()


@dataclass
class _Count:
    """Turns iterations of one group of windows after the other into steps of the whole.

    Attributes:
        progress: told how many steps are done, of how many.
        groups: how many there are.
        group: the one at work.
        done: its iterations so far.
        total: the most that it may have.
    """

    progress: Callable[[int, int], None]
    groups: int
    group: int = 0
    done: int = 0
    total: int = 0

    def __call__(self, done: int, total: int, _objective: float) -> None:
        self.done, self.total = done, total
        self.progress(self.group * total + done, self.groups * total)

    def finish(self) -> None:
        """Go on to the next group; one that has stopped early is as done as any."""
        if self.done < self.total:
            self(self.total, self.total, 0.0)
        self.group += 1


@dataclass(frozen=True)
class Windows:
    """Windows over a recording, in any unit (enhancement counts in STFT hops).

    Attributes:
        starts: where each window starts, the first at 0.
        length: of every window; the last one ends with the recording.
    """

    starts: tuple[int, ...]
    length: int

    def __len__(self) -> int:
        return len(self.starts)

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
