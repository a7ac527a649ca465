"""Enhancement: a noisy recording of somebody who talks in, clean speech out."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from minvae_pyro.audio.files import Sound
from minvae_pyro.audio.level import SILENCE, level
from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.enhancement.recording import Source, Video, read_recording
from minvae_pyro.enhancement.separation import Separation, separate
from minvae_pyro.errors import UserError
from minvae_pyro.guides.test_time.base import UtteranceGuide
from minvae_pyro.guides.test_time.starts import Start
from minvae_pyro.inference import InferenceEngine, Settings
from minvae_pyro.models import NoiseModel
from minvae_pyro.probability.settled import settled
from minvae_pyro.registry.admission import Trust
from minvae_pyro.registry.names import Description, name_of
from minvae_pyro.video.align import on_frames
from minvae_pyro.video.track import MouthTrack

DEFAULT_CHECKPOINT = "min-vae"
"""The shipped checkpoint that enhancement uses when none is named."""

_LITTLE = 0.1
"""Level of the noise, of that of the speech, below which there was hardly any: -20 dB."""

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
        seed: decides everything random.
        device: where to compute.
        progress: called with how far the work is.

    Returns:
        Speech and noise with the length, rate, level and channels of the recording, and how they came about.

    Raises:
        UserError: recording, video, checkpoint, engine, start, noise, guide or device cannot be used.
    """
    if draws < 0:
        raise UserError(f"there cannot be {draws} draws of the speech: give 0 or more.")
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
    )
    sound, notes = recording.sound, list(recording.notes)
    samples = samples_at(sound, loaded.stft.sample_rate)
    frame_times = loaded.stft.frame_times(loaded.stft.frames(samples)).cpu()
    mouth = None
    if recording.mouth is not None:
        mouth = on_frames(recording.mouth, frame_times, sound.seconds)
        recording = replace(recording, mouth=None)  # an hour of pictures takes 400 MB
        share = float(mouth.found.double().mean())
        if share == 0:
            notes.append("no face was found: enhanced from the sound alone")
        elif share < 1:
            notes.append(f"a mouth was seen in {percent(share)} of the frames: the others are enhanced by ear")

    if level(sound.waveform) <= SILENCE:
        notes.append("the recording is silent and is returned as it is")
        result = Separation(sound.waveform.clone(), None, [])
    else:
        if sound.sample_rate > loaded.stft.sample_rate:
            limit = loaded.stft.sample_rate / 2000
            notes.append(f"nothing above {limit:g} kHz is kept: the model hears no higher")
        result = separate(
            loaded,
            resampled(sound, loaded.stft.sample_rate, samples),
            mouth,
            progress=lambda done, total: report("enhancing", done, total),
            predictive=draws,
            seed=seed,
            **given,
        )
        speech = Sound(result.speech, loaded.stft.sample_rate)
        whole = sound.waveform.shape[-1]
        result = replace(result, speech=resampled(speech, sound.sample_rate, whole))
        if result.draws is not None:
            each = [resampled(Sound(one, loaded.stft.sample_rate), sound.sample_rate, whole) for one in result.draws]
            result = replace(result, draws=torch.stack(each))
    remainder = sound.waveform - result.speech
    if result.objective:
        share = level(remainder) / max(level(result.speech), SILENCE)
        if share < _LITTLE:
            below = f"{-20 * math.log10(share):.0f}" if share > 1e-3 else "more than 60"
            notes.append(f"little noise was found: it lies {below} dB below the speech")
    return Enhancement(
        speech=result.speech,
        noise=remainder,
        sample_rate=sound.sample_rate,
        audio_responsibility=result.audio_responsibility,
        objective=result.objective,
        frame_times=frame_times,
        mouth=mouth,
        elapsed=time.perf_counter() - began,
        engine=name_of(settings.engine),
        noise_model=name_of(settings.noise),
        guide=name_of(settings.guide),
        checkpoint="" if isinstance(checkpoint, Checkpoint) else str(checkpoint),
        notes=notes,
        draws=result.draws,
    )


def percent(share: float) -> str:
    """A share, 0 to 1, in words that say neither all nor nothing where some are left.

    Example:
        >>> percent(0.999), percent(0.29), percent(0.001), percent(0.0)
        ('99%', '29%', 'under 1%', '0%')
    """
    whole = math.floor(100 * share + 1e-9)
    return "under 1%" if share > 0 and whole == 0 else f"{whole}%"


def samples_at(sound: Sound, sample_rate: int) -> int:
    """How many samples the sound has at a rate, one at least."""
    return max(1, round(sound.seconds * sample_rate))


def resampled(sound: Sound, sample_rate: int, samples: int) -> Tensor:
    """The waveform at another rate, (channels, samples): resampling may be off by one at the end."""
    waveform = sound.resample(sample_rate).waveform[:, :samples]
    missing = samples - waveform.shape[-1]
    return pad(waveform, (0, missing)) if missing else waveform
