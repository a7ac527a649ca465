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
    rate = checkpoint.stft.sample_rate
    inference = {**(settings or {}), "seed": seed}
    aligned = [_align(checkpoint, sound, mouth) for sound, mouth in zip(noisy, mouths, strict=True)]
    found: dict[int, Estimate] = {}
    short = [row for row, sound in enumerate(noisy) if len(sound) <= WINDOW_SECONDS * rate]
    if short:
        together = _together(checkpoint, [noisy[r] for r in short], [aligned[r] for r in short], inference)
        found = dict(zip(short, together, strict=True))
    for row in range(len(noisy)):
        if row not in found:
            found[row] = _alone(checkpoint, noisy[row], aligned[row], inference)
    return [found[row] for row in range(len(noisy))]


def _align(checkpoint: Checkpoint, sound: Tensor, mouth: MouthTrack | None) -> MouthTrack | None:
    if mouth is None:
        return None
    times = checkpoint.stft.frame_times(checkpoint.stft.frames(len(sound))).cpu()
    return on_frames(mouth, times, len(sound) / checkpoint.stft.sample_rate)


def _together(
    checkpoint: Checkpoint,
    noisy: Sequence[Tensor],
    mouths: Sequence[MouthTrack | None],
    inference: Mapping[str, Any],
) -> list[Estimate]:
    began = time.perf_counter()
    stft = checkpoint.stft
    inferred = infer_waveforms(checkpoint, noisy, mouths, **inference)
    lengths = [stft.frames(len(sound)) for sound in noisy]
    speech = [apply_gain(stft, inferred.gain[row, :n], noisy[row]) for row, n in enumerate(lengths)]
    trust = inferred.audio_responsibility
    trusted = [None if trust is None else trust[row, :n].cpu() for row, n in enumerate(lengths)]
    share = (time.perf_counter() - began) / sum(map(len, noisy))
    return [
        Estimate(speech[row], trusted[row], stft.frame_times(n).cpu(), share * len(noisy[row]))
        for row, n in enumerate(lengths)
    ]


def _alone(checkpoint: Checkpoint, sound: Tensor, mouth: MouthTrack | None, inference: Mapping[str, Any]) -> Estimate:
    began = time.perf_counter()
    result = separate(checkpoint, sound[None], mouth, progress=lambda done, total: None, **inference)
    times = checkpoint.stft.frame_times(checkpoint.stft.frames(len(sound))).cpu()
    return Estimate(result.speech[0], result.audio_responsibility, times, time.perf_counter() - began)
