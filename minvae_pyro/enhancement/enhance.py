"""Enhancement: a noisy recording of somebody who talks in, clean speech out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minvae_pyro.audio.clock import SoundClock
from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.enhancement.ready import Blend, as_recorded, make_ready
from minvae_pyro.enhancement.recording import Source, Video, read_recording
from minvae_pyro.enhancement.separation import separate
from minvae_pyro.errors import UserError
from minvae_pyro.guides.test_time.base import UtteranceGuide
from minvae_pyro.guides.test_time.starts import Start
from minvae_pyro.inference import InferenceEngine, Settings
from minvae_pyro.models import NoiseModel
from minvae_pyro.probability.settled import settled
from minvae_pyro.registry.admission import Trust
from minvae_pyro.registry.names import Description, name_of
from minvae_pyro.video.track import MouthTrack

DEFAULT_CHECKPOINT = "min-vae"
"""The shipped checkpoint that enhancement uses when none is named."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many steps of it are done, and how many there are (0: nobody knows)."""


@dataclass(frozen=True)
class Enhancement:
    """What became of a recording, which has N STFT frames for the model.

    Attributes:
        speech: (channels, samples) the estimate, with the rate and level of the recording.
        noise: (channels, samples) what is left: recording minus speech.
        sample_rate: of both, Hz.
        audio_responsibility: (N,) probability that the sound, not the mouth, explains a frame; None for a prior without
            that choice, and for a silent recording.
        objective: after each iteration that was run, nats per frame, higher is better; empty for a silent recording.
        frame_times: (N,) centres of the frames in seconds.
        mouth: the crops that the model used, one for each frame; None without video.
        elapsed: seconds of work, from reading to the result.
        engine: what inferred it.
        noise_model: what the noise was taken for.
        guide: the posterior that was fitted.
        checkpoint: name or file of the model; "" for one that was given loaded.
        notes: plain sentences on what was out of the ordinary.
        draws: (draws, channels, samples) of the speech given the recording, where they were asked for.
        clock: when its samples were heard, see :class:`minvae_pyro.audio.files.Sound`.
        highest: Hz up to which the model hears.
    """

    speech: Tensor
    noise: Tensor
    sample_rate: int
    audio_responsibility: Tensor | None
    objective: list[float]
    frame_times: Tensor
    mouth: MouthTrack | None
    elapsed: float
    engine: str
    noise_model: str
    guide: str
    checkpoint: str
    notes: list[str]
    draws: Tensor | None = None
    clock: SoundClock | None = None
    highest: float = 8000.0

    def interval(self, mass: float = 0.9) -> Tensor:
        """Lower and upper end of the pointwise interval of the speech, (2, channels, samples), from the draws.

        Args:
            mass: probability of the interval of each sample, 0 to 1.

        Raises:
            UserError: there are no draws.
        """
        if self.draws is None:
            raise UserError("an interval needs draws: enhance(..., draws=20).")
        ends = np.quantile(self.draws.numpy(), [(1 - mass) / 2, (1 + mass) / 2], axis=0)
        return torch.from_numpy(ends).to(self.draws.dtype)

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.speech.shape[-1] / self.sample_rate

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of sound."""
        return self.elapsed / self.seconds

    @property
    def faces_found(self) -> float:
        """Fraction of the frames with a mouth."""
        return 0.0 if self.mouth is None else float(self.mouth.found.double().mean())


@settled()
def enhance(
    source: Source,
    *,
    sample_rate: int | None = None,
    video: Video | None = None,
    video_frame_rate: float | None = None,
    audio_track: int | None = None,
    video_track: int | None = None,
    checkpoint: str | os.PathLike[str] | Checkpoint = DEFAULT_CHECKPOINT,
    trust: Trust = (),
    engine: Description | InferenceEngine | None = None,
    start: str | Start | None = None,
    noise: Description | NoiseModel | None = None,
    guide: Description | UtteranceGuide | type | Callable[..., Any] | None = None,
    draws: int = 0,
    mix: float = 1.0,
    limit: float | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> Enhancement:
    """Separate the speech of a visible talker from noise.

    The model gets the mean of the channels at its own rate (16 kHz), and the gain that it finds for each time and
    frequency is applied to every channel. Of a recording at a higher rate nothing above 8 kHz is kept, for there the
    model cannot tell speech from noise. Recordings longer than 24 s are enhanced in windows. Without a video, or
    without a face in it, the sound alone is used, and ``notes`` says so.

    Args:
        source: a sound or video file, a path or opened for reading bytes; or (samples,) or (channels, samples)
            floating-point samples.
        sample_rate: Hz, of samples; files know theirs.
        video: of the mouth, if not in ``source``: a video or lip file, crops (T, 67, 67), or a mouth track. It starts
            together with the sound.
        video_frame_rate: pictures a second of crops and lip files.
        audio_track: which sound track of ``source`` to use, counted from 1, where there are several; by default the one
            that the file calls its default, and ``notes`` says so.
        video_track: the same of the video tracks of the file that shows the mouth.
        checkpoint: a shipped name, a file, or a loaded checkpoint (which moves to ``device``).
        trust: modules of your own whose classes the checkpoint may name, see
            :func:`minvae_pyro.load_checkpoint`.
        engine: how to infer, see :func:`minvae_pyro.inference.infer`; the checkpoint says it when omitted.
        start: where the posterior starts, see there; as ``engine``.
        noise: the noise model, named, described (``class_path``, ``init_args``) or made; as ``engine``.
        guide: the posterior that is fitted; as ``noise``, or a guide of Pyro's or a function, by name or itself (see
            :func:`minvae_pyro.inference.pyro_parts.make_guide`).
        draws: how many draws to make of the speech given the recording, each as large as the sound.
        mix: share of what was found in the speech, 0 to 1; the rest is the recording as it was (wet and dry).
        limit: dB, by which no time and frequency is attenuated further (the gain floor of spectral subtraction), nor
            what the model does not hear, above 8 kHz; draws are of the speech, without limit or mix.
        seed: decides everything random.
        device: where to compute; "auto" takes a GPU where there is one.
        progress: called with how far the work is.

    Returns:
        Speech and noise with the length, rate, level and channels of the recording, and how they came about.

    Raises:
        UserError: recording, video, checkpoint, engine, start, noise, guide or device cannot be used.
    """
    if draws < 0:
        raise UserError(f"there cannot be {draws} draws of the speech: give 0 or more.")
    blend = Blend(mix, limit)
    began = time.perf_counter()
    report: Progress = progress or (lambda what, done, total: None)
    loaded = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(checkpoint, trust)
    loaded.to(device)
    given = {"engine": engine, "start": start, "noise": noise, "guide": guide}
    settings = Settings.of_checkpoint(loaded.enhancement, loaded.trust, given)
    report("looking for the mouth", 0, 0)
    recording = read_recording(
        source,
        sample_rate=sample_rate,
        video=video,
        video_frame_rate=video_frame_rate,
        audio_track=audio_track,
        video_track=video_track,
        progress=lambda done, total: report("looking for the mouth", done, total),
    )
    ready = make_ready(recording, loaded.stft, blend)
    del recording  # an hour of pictures takes 400 MB
    sound, rate = ready.sound, loaded.stft.sample_rate
    found = None
    if not ready.silent:
        found = separate(
            loaded,
            ready.channels(rate),
            ready.mouth,
            progress=lambda done, total: report("enhancing", done, total),
            predictive=draws,
            floor=blend.floor,
            seed=seed,
            **given,
        )
    result, notes = as_recorded(ready, found, rate, blend)
    return Enhancement(
        speech=result.speech,
        noise=sound.waveform - result.speech,
        sample_rate=sound.sample_rate,
        audio_responsibility=result.audio_responsibility,
        objective=result.objective,
        frame_times=ready.frame_times,
        mouth=ready.mouth,
        elapsed=time.perf_counter() - began,
        engine=name_of(settings.engine),
        noise_model=name_of(settings.noise),
        guide=name_of(settings.guide),
        checkpoint="" if isinstance(checkpoint, Checkpoint) else str(checkpoint),
        notes=[*ready.notes, *notes],
        draws=result.draws,
        clock=sound.clock,
        highest=rate / 2,
    )
