"""Before and after inference: a recording as the model gets it, and what was found as the recording was."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from minvae_pyro.audio.files import Sound
from minvae_pyro.audio.level import SILENCE, level
from minvae_pyro.audio.stft import STFT
from minvae_pyro.enhancement.recording import Recording
from minvae_pyro.enhancement.separation import Separation
from minvae_pyro.errors import UserError
from minvae_pyro.video.align import on_frames
from minvae_pyro.video.track import MouthTrack

_LITTLE = 0.1
"""Level of the noise, of that of the speech, below which there was hardly any: -20 dB."""


@dataclass(frozen=True)
class Blend:
    """How much of the recording stays in the speech.

    Attributes:
        mix: share of what was found, 0 to 1, the rest is the recording as it was (wet and dry).
        limit: dB, by which no time and frequency is attenuated further, as the gain floor of spectral subtraction; None
            for no limit.
    """

    mix: float = 1.0
    limit: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.mix <= 1:
            raise UserError(f"there cannot be a mix of {self.mix}: give a share of 0 to 1, such as 0.9.")
        if self.limit is not None and not self.limit >= 0:
            raise UserError(f"nothing can be limited to {self.limit} dB of attenuation: give 0 or more, such as 20.")

    @property
    def floor(self) -> float:
        """Least gain before the mix."""
        return 0.0 if self.limit is None else 10 ** (-self.limit / 20)

    @property
    def unheard(self) -> float:
        """Gain of what the model does not hear."""
        return self.mix * self.floor + 1 - self.mix


@dataclass(frozen=True)
class Ready:
    """A recording as the model gets it, which has N STFT frames for it.

    Attributes:
        sound: all channels at their own rate.
        samples: of the sound at the rate of the model.
        frame_times: (N,) centres of the frames in seconds.
        mouth: one picture for each frame; None without video.
        notes: plain sentences on what was out of the ordinary.
    """

    sound: Sound
    samples: int
    frame_times: Tensor
    mouth: MouthTrack | None
    notes: tuple[str, ...]

    @property
    def silent(self) -> bool:
        """Whether there is nothing to infer from."""
        return level(self.sound.waveform) <= SILENCE

    def channels(self, sample_rate: int) -> Tensor:
        """What the model hears, (channels, samples), at its rate in Hz."""
        return resampled(self.sound, sample_rate, self.samples)


def make_ready(recording: Recording, stft: STFT, blend: Blend) -> Ready:
    """Put the mouth of a recording on the frames of the model, and note what is out of the ordinary."""
    sound, notes = recording.sound, list(recording.notes)
    samples = samples_at(sound, stft.sample_rate)
    frame_times = stft.frame_times(stft.frames(samples)).cpu()
    mouth = None
    if recording.mouth is not None:
        mouth = on_frames(recording.mouth, frame_times, sound.seconds)
        share = float(mouth.found.double().mean())
        if share == 0:
            notes.append("no face was found: enhanced from the sound alone")
        elif share < 1:
            notes.append(f"a mouth was seen in {percent(share)} of the frames: the others are enhanced by ear")
    ready = Ready(sound, samples, frame_times, mouth, tuple(notes))
    if ready.silent:
        notes.append("the recording is silent and is returned as it is")
    elif sound.sample_rate > stft.sample_rate:
        band = f"above {stft.sample_rate / 2000:g} kHz"
        kept = f"all {band} is attenuated by {-20 * math.log10(blend.unheard):.0f} dB" if blend.unheard else ""
        notes.append(f"{kept or f'nothing {band} is kept'}: the model hears no higher")
    return replace(ready, notes=tuple(notes))


def as_recorded(ready: Ready, found: Separation | None, sample_rate: int, blend: Blend) -> tuple[Separation, list[str]]:
    """What was found, with the rate, level and length of the recording, and notes on it.

    Args:
        ready: the recording.
        found: at ``sample_rate``, with gains that are not below the floor of ``blend``; None for a silent one.
        sample_rate: of the model, Hz.
        blend: how much of the recording stays.
    """
    sound = ready.sound
    if found is None:
        return Separation(sound.waveform.clone(), None, []), []
    whole = sound.waveform.shape[-1]

    def back(waveform: Tensor) -> Tensor:
        return resampled(Sound(waveform, sample_rate), sound.sample_rate, whole)

    speech = back(found.speech)
    if blend.floor and sound.sample_rate > sample_rate:
        speech += blend.floor * (sound.waveform - back(ready.channels(sample_rate)))
    notes = []
    if found.objective and blend.floor < 1:
        remainder = level(sound.waveform - speech) / (1 - blend.floor)
        share = remainder / max(level(speech), SILENCE)
        if share < _LITTLE:
            below = f"{-20 * math.log10(share):.0f}" if share > 1e-3 else "more than 60"
            notes.append(f"little noise was found: it lies {below} dB below the speech")
    if blend.mix < 1:
        speech = torch.lerp(sound.waveform, speech, blend.mix)
    draws = None if found.draws is None else torch.stack([back(one) for one in found.draws])
    return replace(found, speech=speech, draws=draws), notes


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
