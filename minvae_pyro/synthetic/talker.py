"""A synthetic talker: random speech-like sound together with the mouth that makes it.

Real corpora of talking faces cannot be shipped. This one costs milliseconds, is the same for the same seed, and its
pictures carry what real ones carry: how open the mouth is, how loud that makes it, which resonances the lips allow; not
whether the voice is on, nor the pitch. The demonstration trains on it and the tests use it as a corpus.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.synthetic.face import Face, render_crops
from minvae_pyro.synthetic.gestures import Gestures, draw_gestures
from minvae_pyro.synthetic.voice import SAMPLE_RATE, render_voice

_LEVEL = 0.06  # root mean square of an utterance
_PEAK = 0.95
_ROOM = 1e-3  # root mean square of the room's noise beside that of the speech: -60 dB


@dataclass(frozen=True)
class Talker:
    """One synthetic person.

    Attributes:
        pitch_hz: Typical fundamental frequency, Hz.
        tract: Formants relative to those of a typical man.
        rate: Speaking rate, 1 is about four syllables a second.
        lively: Scale of the variation in pitch and effort.
        breath: Strength of the breath that leaks through the voice.
        tilt_hz: Corner of the low-pass that softens the voice, Hz.
        face: Looks.
    """

    pitch_hz: float = 120.0
    tract: float = 1.0
    rate: float = 1.0
    lively: float = 1.0
    breath: float = 0.05
    tilt_hz: float = 3500.0
    face: Face = field(default_factory=Face)


@dataclass(frozen=True)
class SyntheticUtterance:
    """What a camera and a microphone take from a talker, on one clock.

    Attributes:
        waveform: (samples,) float32 in [-1, 1].
        sample_rate: Hz.
        crops: (T, 67, 67) uint8 grey pictures of the mouth.
        times: (T,) float64, seconds at which they are taken; sample 0 of the sound is at 0.
        posture: The gestures at those times: the truth behind the pictures.
    """

    waveform: Tensor
    sample_rate: int
    crops: Tensor
    times: Tensor
    posture: Gestures


def draw_talker(seed: int) -> Talker:
    """Draw a person, with the voice of a woman or of a man, by a seed."""
    rng = _generator(seed, "talker")
    woman = rng.random() < 0.5
    face = Face(
        skin=rng.uniform(0.45, 0.75),
        lips=rng.uniform(0.34, 0.5),
        size=rng.uniform(0.9, 1.1),
        fullness=rng.uniform(0.75, 1.25),
        stubble=0.0 if woman else rng.uniform(0.0, 0.15),
        texture_seed=int(rng.integers(2**31)),
    )
    return Talker(
        pitch_hz=rng.uniform(170, 230) if woman else rng.uniform(90, 140),
        tract=rng.uniform(1.08, 1.2) if woman else rng.uniform(0.94, 1.05),
        rate=rng.uniform(0.85, 1.2),
        lively=rng.uniform(0.7, 1.3),
        breath=rng.uniform(0.02, 0.08),
        tilt_hz=rng.uniform(2500, 4500),
        face=face,
    )


def synthesise(
    seconds: float, seed: int, *, talker: Talker | None = None, frames_per_second: float = 25.0
) -> SyntheticUtterance:
    """Draw an utterance: what is said, how it sounds, how it looks.

    It is at 16 kHz with `ceil(seconds * frames_per_second)` pictures. Equal arguments give equal tensors. The talker is
    the plain one, `Talker()`, when omitted.

    Raises:
        UserError: When there is not one sample to draw, or no frame rate.

    Example:
        >>> talk = synthesise(1.0, seed=3)
        >>> talk.waveform.shape, talk.crops.shape, talk.sample_rate
        (torch.Size([16000]), torch.Size([25, 67, 67]), 16000)
        >>> bool((talk.waveform == speak(1.0, seed=3)).all())
        True
    """
    if not frames_per_second > 0:
        raise UserError(f"cannot film at {frames_per_second} frames per second; ask for more than 0")
    talker = talker or Talker()
    gestures, waveform = _speak(seconds, seed, talker)
    times = np.arange(np.ceil(len(waveform) / SAMPLE_RATE * frames_per_second - 1e-9)) / frames_per_second
    posture = gestures.at(times)
    crops = render_crops(talker.face, posture, frames_per_second, _generator(seed, "film"))
    return SyntheticUtterance(waveform, SAMPLE_RATE, torch.from_numpy(crops), torch.from_numpy(times), posture)


def speak(seconds: float, seed: int, *, talker: Talker | None = None) -> Tensor:
    """The sound of `synthesise` without its film: (samples,) float32 at 16 kHz, same draw, same errors."""
    return _speak(seconds, seed, talker or Talker())[1]


def _speak(seconds: float, seed: int, talker: Talker) -> tuple[Gestures, Tensor]:
    """What the talker does, and the voice in a quiet room at a fixed level, (samples,) float32."""
    samples = round(seconds * SAMPLE_RATE)
    if samples < 1:
        raise UserError(f"cannot draw an utterance of {seconds} s; ask for more than 0 seconds")
    rng = _generator(seed, "gestures")
    gestures = draw_gestures(seconds, rng, pitch_hz=talker.pitch_hz, rate=talker.rate, lively=talker.lively)
    rng = _generator(seed, "voice")
    voice = render_voice(gestures, samples, rng, tract=talker.tract, breath=talker.breath, tilt_hz=talker.tilt_hz)
    # A clip that is all pause stays quiet.
    voice = voice / max(float(np.sqrt(np.mean(voice**2))), 1e-3)
    sound = _LEVEL * (voice + _ROOM * rng.standard_normal(samples))
    sound *= min(1.0, _PEAK / float(np.abs(sound).max()))
    return gestures, torch.from_numpy(sound.astype(np.float32))


def _generator(seed: int, purpose: str) -> np.random.Generator:
    """Independent random numbers for each purpose: a change of the film leaves the sound as it is."""
    return np.random.default_rng([seed, *purpose.encode()])
