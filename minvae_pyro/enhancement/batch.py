"""Enhance a batch of sounds together, each as :func:`minvae_pyro.enhance` does one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from minvae_pyro.checkpoints.checkpoint import Checkpoint
from minvae_pyro.enhancement.filter import apply_gain, infer_waveforms
from minvae_pyro.enhancement.separation import WINDOW_SECONDS, separate
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
        seed: decides everything random; so does what is in the batch.
        settings: keywords of :func:`minvae_pyro.inference.infer`.
    """
    stft = checkpoint.stft
    inference = {**(settings or {}), "seed": seed}
    times = [stft.frame_times(stft.frames(len(sound))).cpu() for sound in noisy]
    aligned = [
        mouth and on_frames(mouth, centres, len(sound) / stft.sample_rate)
        for sound, mouth, centres in zip(noisy, mouths, times, strict=True)
    ]
    short = [row for row, sound in enumerate(noisy) if len(sound) <= WINDOW_SECONDS * stft.sample_rate]
    found: dict[int, Estimate] = {}
    if short:
        began = time.perf_counter()
        inferred = infer_waveforms(checkpoint, [noisy[r] for r in short], [aligned[r] for r in short], **inference)
        lengths = [len(times[r]) for r in short]
        speech = [apply_gain(stft, inferred.gain[i, :n], noisy[short[i]]) for i, n in enumerate(lengths)]
        trust = inferred.audio_responsibility
        trusted = [None if trust is None else trust[i, :n].cpu() for i, n in enumerate(lengths)]
        share = (time.perf_counter() - began) / sum(len(noisy[r]) for r in short)
        for row, estimate, responsibility in zip(short, speech, trusted, strict=True):
            found[row] = Estimate(estimate, responsibility, times[row], share * len(noisy[row]))
    for row in set(range(len(noisy))).difference(short):
        began = time.perf_counter()
        alone = separate(checkpoint, noisy[row][None], aligned[row], progress=lambda done, total: None, **inference)
        elapsed = time.perf_counter() - began
        found[row] = Estimate(alone.speech[0], alone.audio_responsibility, times[row], elapsed)
    return [found[row] for row in range(len(noisy))]
