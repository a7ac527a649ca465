"""Enhance a batch of sounds together, each as :func:`minvae_pyro.enhance` does one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from minvae_pyro.audio.stft import STFT
from minvae_pyro.checkpoints.checkpoint import Checkpoint
from minvae_pyro.enhancement.filter import apply_gain, infer_waveforms
from minvae_pyro.enhancement.separation import WINDOW_SECONDS, Separation, mix_down, separate
from minvae_pyro.probability.settled import settled
from minvae_pyro.video.align import on_frames
from minvae_pyro.video.track import MouthTrack


@dataclass(frozen=True)
class Estimate:
    """What a system makes of a mixture.

    Attributes:
        speech: (samples,).
        audio_responsibility: (N,), or None for a system without it.
        frame_times: (N,) centres of the frames in seconds.
        elapsed: seconds of inference; of a batch, shared by the lengths of its sounds.
    """

    speech: Tensor
    audio_responsibility: Tensor | None
    frame_times: Tensor
    elapsed: float


@settled()
def enhance_batch(
    checkpoint: Checkpoint,
    noisy: Sequence[Tensor],
    mouths: Sequence[MouthTrack | None],
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> list[Estimate]:
    """Enhance sounds that fit into a window together, and longer ones each by itself.

    Args:
        checkpoint: the model, on the device to compute on.
        noisy: (samples,) each, at the rate of the checkpoint; none is silent.
        mouths: the mouth of each, on the clock of its sound; None without video.
        seed: decides everything random.
        settings: keywords of :func:`minvae_pyro.inference.infer`.
    """
    stft = checkpoint.stft
    inference = {**(settings or {}), "seed": seed}
    times = [stft.frame_times(stft.frames(len(sound))).cpu() for sound in noisy]
    aligned = [
        mouth and on_frames(mouth, centres, len(sound) / stft.sample_rate)
        for sound, mouth, centres in zip(noisy, mouths, times, strict=True)
    ]
    short = [row for row, sound in enumerate(noisy) if fits(len(sound), stft)]
    found: dict[int, Estimate] = {}
    if short:
        began = time.perf_counter()
        channels, seen = [noisy[row][None] for row in short], [aligned[row] for row in short]
        together = separate_together(checkpoint, channels, seen, **inference)
        share = (time.perf_counter() - began) / sum(len(noisy[r]) for r in short)
        for row, one in zip(short, together, strict=True):
            found[row] = Estimate(one.speech[0], one.audio_responsibility, times[row], share * len(noisy[row]))
    for row in set(range(len(noisy))).difference(short):
        began = time.perf_counter()
        alone = separate(checkpoint, noisy[row][None], aligned[row], progress=lambda done, total: None, **inference)
        elapsed = time.perf_counter() - began
        found[row] = Estimate(alone.speech[0], alone.audio_responsibility, times[row], elapsed)
    return [found[row] for row in range(len(noisy))]


def fits(samples: int, stft: STFT) -> bool:
    """Whether a sound is short enough to be separated as a whole, and so beside others."""
    return stft.frames(samples) - 1 <= round(WINDOW_SECONDS * stft.sample_rate / stft.hop)


def separate_together(
    checkpoint: Checkpoint,
    recordings: Sequence[Tensor],
    mouths: Sequence[MouthTrack | None],
    *,
    floor: float = 0.0,
    seed: int = 0,
    **inference: Any,
) -> list[Separation]:
    """Separate recordings that :func:`fits` each as a whole, in one batch; each as :func:`separate` does it alone.

    Args:
        checkpoint: the model, on the device to compute on.
        recordings: (channels, samples) each, at the rate of ``checkpoint.stft``; none is silent.
        mouths: of each, one crop for each of its frames; None without video.
        floor: least gain of the speech.
        seed: decides everything random.
        **inference: engine, settings and callback, see :func:`minvae_pyro.inference.infer`.
    """
    stft = checkpoint.stft
    inferred = infer_waveforms(checkpoint, [mix_down(one) for one in recordings], mouths, seed=seed, **inference)
    trust = inferred.audio_responsibility
    found = []
    for row, channels in enumerate(recordings):
        frames = stft.frames(channels.shape[-1])
        speech = apply_gain(stft, inferred.gain[row, :frames].clamp(min=floor), channels)
        found.append(Separation(speech, None if trust is None else trust[row, :frames].cpu(), inferred.objective))
    return found
