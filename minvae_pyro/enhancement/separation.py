"""Separate speech from noise in a waveform of any length, at the sample rate of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from minvae_pyro.audio.level import SILENCE, level, sounding_level
from minvae_pyro.audio.overlap_add import split
from minvae_pyro.checkpoints.checkpoint import Checkpoint
from minvae_pyro.enhancement.filter import apply_draw, apply_gain, infer_waveforms
from minvae_pyro.inference import draw_speech
from minvae_pyro.video.track import MouthTrack

WINDOW_SECONDS = 24.0
"""Longer recordings are separated in windows, so that memory does not grow with them."""

_OVERLAP_SECONDS = 2.0
_BATCH = 2  # windows that are inferred together
_CANCELLED = 1e-3  # share of the power that the mean of opposite channels may keep


@dataclass(frozen=True)
class Separation:
    """Speech out of a mixture.

    Attributes:
        speech: (channels, samples).
        audio_responsibility: (N,); 1/2 where a whole window is silent. None for a prior without ``alpha``, and where
            all is silent.
        draws: (draws, channels, samples) of the speech; None where none were asked for, and where all is silent.
        objective: after each iteration, nats per frame, the mean over windows; one that stopped earlier than others
            counts as it stood at its end. Empty where all is silent.
    """

    speech: Tensor
    audio_responsibility: Tensor | None
    objective: list[float]
    draws: Tensor | None = None


def separate(
    checkpoint: Checkpoint,
    channels: Tensor,
    mouth: MouthTrack | None,
    *,
    progress: Callable[[int, int], None],
    predictive: int = 0,
    floor: float = 0.0,
    seed: int = 0,
    **inference: Any,
) -> Separation:
    """Find the gain of each time and frequency on the mean of the channels, and apply it to all of them.

    Every window has a noise model of its own. Neighbours are faded into each other over two seconds.

    Args:
        checkpoint: the model, on the device to compute on.
        channels: (channels, samples) at the rate of ``checkpoint.stft``.
        mouth: one crop for each of its N frames; None without video.
        progress: called with how many steps are done, of how many.
        predictive: how many draws of the speech to make, each for all windows.
        floor: least gain of the speech; not of the draws.
        seed: decides everything random.
        **inference: engine and settings, see :func:`minvae_pyro.inference.infer`.
    """
    stft, hop, samples = checkpoint.stft, checkpoint.stft.hop, channels.shape[-1]
    hops = stft.frames(samples) - 1
    windows = split(hops, *(round(s * stft.sample_rate / hop) for s in (WINDOW_SECONDS, _OVERLAP_SECONDS)))
    mono = mix_down(channels)
    speech = channels.new_zeros(len(channels), hops * hop)

    def part(signal: Tensor, window: int) -> Tensor:
        # only the last one has to be filled up: to copy the whole would take as much memory again
        piece = windows.of(signal, window, hop)
        return pad(piece, (0, windows.length * hop - piece.shape[-1]))

    draws = torch.zeros(predictive, *speech.shape)
    trust = torch.zeros(hops + 1)  # of the loud windows so far, in the sound
    weights = torch.zeros(hops + 1)
    objectives: list[list[float]] = []
    trusted = False

    loud = [w for w in range(len(windows)) if level(part(mono, w)) > SILENCE]
    groups = [loud[first : first + _BATCH] for first in range(0, len(loud), _BATCH)]
    count = _Count(progress, len(groups))
    for group in groups:
        pieces = [part(mono, w) for w in group]
        frames = [slice(windows.starts[w], windows.starts[w] + windows.length + 1) for w in group]
        mouths = [mouth and mouth.select(where) for where in frames]
        inferred = infer_waveforms(checkpoint, pieces, mouths, callback=count, seed=seed, **inference)
        count.finish()
        objectives += [inferred.objective] * len(group)
        responsibility = inferred.audio_responsibility
        for row, w in enumerate(group):
            windows.add(speech, w, apply_gain(stft, inferred.gain[row].clamp(min=floor), part(channels, w)), hop)
        for number, (gain, deviation) in enumerate(draw_speech(inferred, predictive, seed + 1 + group[0])):
            for row, w in enumerate(group):
                drawn = gain[row], deviation[row]
                piece = apply_draw(stft, drawn, part(channels, w), sounding_level(pieces[row]))
                windows.add(draws[number], w, piece, hop)
        for row, w in enumerate(group):
            if responsibility is not None:
                windows.add(trust, w, responsibility[row].cpu())
                windows.add(weights, w, torch.ones(windows.length + 1))
        trusted = responsibility is not None
        del inferred, mouths  # their pictures take the memory that the next windows need
    return Separation(
        speech[:, :samples],
        trust + 0.5 * (1 - weights) if trusted else None,
        _mean(objectives),
        draws[..., :samples] if predictive and loud else None,
    )


def mix_down(channels: Tensor) -> Tensor:
    """Mean of the channels, (samples,); the loudest one where the mean cancels."""
    if len(channels) == 1:
        return channels[0]
    mean = channels.mean(0)
    power = [level(channel) ** 2 for channel in channels]
    if level(mean) ** 2 >= _CANCELLED * sum(power) / len(power):
        return mean
    return channels[power.index(max(power))]


def _mean(objectives: Sequence[list[float]]) -> list[float]:
    """Mean of sequences, each going on at its last value until the longest ends."""
    if not objectives:
        return []
    longest = max(map(len, objectives))
    lasting = [one + one[-1:] * (longest - len(one)) for one in objectives]
    return torch.tensor(lasting, dtype=torch.float64).mean(0).tolist()


@dataclass
class _Count:
    """Turns iterations of one of ``groups`` of windows after the other into steps of the whole."""

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
