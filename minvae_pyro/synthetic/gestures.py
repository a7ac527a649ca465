"""Articulatory gestures of a synthetic talker: what lips, tongue, glottis and velum do over time.

Speech is written as a score of segments, each of which asks some articulators for a posture and leaves the others to
their neighbours. Slow organs (lips, jaw, tongue) then glide through their targets, fast ones (glottis, tongue tip)
nearly jump: that lag is coarticulation, and it is why one picture of a mouth never tells the whole sound. After the
gestural score of articulatory phonology (Browman & Goldstein, Phonetica 49, 1992), much simplified.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

FloatArray = npt.NDArray[np.float64]

CONTROL_RATE = 500  # Hz; 2 ms, finer than the shortest burst

# Lips pressed together: below zero, so that the smoothed gesture stays closed for a while.
_PRESSED = -0.45
_ANY = float("nan")  # no target: the neighbours decide


class Segment(NamedTuple):
    """A stretch of time with targets for the articulators and a pitch accent in octaves.

    See `Gestures` for units; NaN means no target.
    """

    milliseconds: float
    opening: float = _ANY
    width: float = _ANY
    front: float = _ANY
    height: float = _ANY
    flow: float = 1.0
    voice: float = 0.0
    aspiration: float = 0.0
    friction: float = 0.0
    friction_hz: float = _ANY
    nasal: float = 0.0
    accent: float = 0.0


_VOWELS: dict[str, Segment] = {
    name: Segment(130, *posture, voice=1.0)
    for name, posture in {
        "i": (0.30, 0.95, 1.00, 1.00),
        "e": (0.50, 0.80, 0.80, 0.60),
        "ae": (0.80, 0.85, 0.65, 0.15),
        "a": (1.00, 0.60, 0.30, 0.00),
        "schwa": (0.40, 0.50, 0.45, 0.45),
        "o": (0.55, 0.22, 0.12, 0.40),
        "u": (0.22, 0.02, 0.05, 0.95),
    }.items()
}

_TIP = {"front": 0.75, "height": 0.75, "opening": 0.25}
_BACK = {"front": 0.35, "height": 1.0}

_CONSONANTS: dict[str, tuple[Segment, ...]] = {
    "p": (Segment(80, _PRESSED), Segment(10, friction=0.35, friction_hz=1000), Segment(35, aspiration=0.8)),
    "b": (Segment(75, _PRESSED, voice=0.7), Segment(8, voice=0.6, friction=0.2, friction_hz=1000)),
    "m": (Segment(85, _PRESSED, voice=0.9, nasal=1.0),),
    "t": (
        Segment(60, flow=0.0, **_TIP),
        Segment(10, friction=0.8, friction_hz=4800, **_TIP),
        Segment(40, aspiration=0.8),
    ),
    "d": (Segment(50, flow=0.0, voice=0.6, **_TIP), Segment(8, voice=0.6, friction=0.4, friction_hz=4500, **_TIP)),
    "n": (Segment(65, flow=0.0, voice=0.9, nasal=1.0, **_TIP),),
    "k": (
        Segment(65, flow=0.0, **_BACK),
        Segment(14, friction=0.7, friction_hz=1900, **_BACK),
        Segment(45, aspiration=0.8),
    ),
    "g": (Segment(55, flow=0.0, voice=0.6, **_BACK), Segment(10, voice=0.5, friction=0.4, friction_hz=1900, **_BACK)),
    "f": (Segment(100, 0.06, 0.60, friction=0.22, friction_hz=5200),),
    "v": (Segment(65, 0.06, 0.60, flow=0.5, voice=0.6, friction=0.1, friction_hz=5200),),
    "s": (Segment(110, 0.18, 0.80, 0.80, 0.80, flow=0.2, friction=0.75, friction_hz=6200),),
    "z": (Segment(80, 0.18, 0.80, 0.80, 0.80, flow=0.3, voice=0.5, friction=0.4, friction_hz=6000),),
    "sh": (Segment(110, 0.32, 0.08, 0.60, 0.80, flow=0.2, friction=0.9, friction_hz=3000),),
    "h": (Segment(60, aspiration=1.0),),
    "l": (Segment(65, 0.40, 0.55, 0.60, 0.55, flow=0.7, voice=0.8),),
    "r": (Segment(65, 0.30, 0.20, 0.40, 0.60, flow=0.8, voice=0.8),),
    "w": (Segment(75, 0.10, 0.00, 0.00, 0.95, voice=0.8),),
    "j": (Segment(65, 0.22, 0.95, 1.00, 1.00, flow=0.9, voice=0.8),),
}

_REST = Segment(300, -0.05, 0.5, 0.4, 0.5)


@dataclass(frozen=True)
class Gestures:
    """What the articulators do, sampled `CONTROL_RATE` times a second; every field is (C,) float64.

    Attributes:
        opening: Gap between the lips, 0 closed to 1 wide open; negative while they are pressed together.
        width: Distance of the lip corners, 0 rounded to 1 spread.
        front: Tongue, 0 back to 1 front.
        height: Tongue, 0 low to 1 high.
        flow: Passage left by the tongue, 0 shut to 1 free.
        voice: Strength of the glottal vibration, 0 to about 1.
        aspiration: Strength of the breath noise at the glottis.
        friction: Strength of the noise at a constriction.
        friction_hz: Where that noise is strongest, Hz.
        nasal: Opening of the velum, 0 to 1.
        pitch: Fundamental frequency, Hz.
    """

    opening: FloatArray
    width: FloatArray
    front: FloatArray
    height: FloatArray
    flow: FloatArray
    voice: FloatArray
    aspiration: FloatArray
    friction: FloatArray
    friction_hz: FloatArray
    nasal: FloatArray
    pitch: FloatArray

    def at(self, times: FloatArray) -> Gestures:
        """Gestures at (T,) seconds after the first control sample: linear between samples, held at the ends."""
        grid = np.arange(len(self.opening)) / CONTROL_RATE
        return Gestures(**{f.name: np.interp(times, grid, getattr(self, f.name)) for f in fields(self)})


def draw_gestures(
    seconds: float, rng: np.random.Generator, pitch_hz: float = 120.0, rate: float = 1.0, lively: float = 1.0
) -> Gestures:
    """Draw what a talker does for a while: phrases of random syllables with pauses between them.

    Args:
        seconds: Length; the gestures have `ceil(seconds * CONTROL_RATE) + 1` control samples.
        rng: Source of every choice.
        pitch_hz: Typical fundamental frequency, Hz.
        rate: Speaking rate, 1 is about four syllables a second.
        lively: Scale of the pitch excursions and of the differences between syllables.
    """
    score = _draw_score(seconds, rng, rate, lively)
    length = int(np.ceil(seconds * CONTROL_RATE)) + 1
    # Round the boundaries, not the durations: otherwise short segments drift or vanish.
    ends = np.round(np.cumsum([segment.milliseconds for segment in score]) * CONTROL_RATE / 1000).astype(int)
    owner = np.searchsorted(ends, np.arange(length), side="right").clip(max=len(score) - 1)
    targets = dict(zip(Segment._fields, np.array(score)[owner].T, strict=True))
    del targets["milliseconds"]
    accent = targets.pop("accent")

    # Standard deviations of the smoothing, ms: heavy organs glide, the glottis and the tongue tip are quick.
    inertia = dict.fromkeys(targets, 6.0) | {
        "opening": 26.0, "width": 40.0, "front": 32.0, "height": 32.0, "friction": 4.0, "nasal": 12.0,
    }  # fmt: skip
    tracks = {
        name: gaussian_filter1d(_fill(target), inertia[name] * CONTROL_RATE / 1000, mode="nearest")
        for name, target in targets.items()
    }
    tracks["opening"] += 0.03 * wander(length, CONTROL_RATE, 0.12, rng)
    tracks["width"] += 0.05 * wander(length, CONTROL_RATE, 0.25, rng)
    melody = gaussian_filter1d(accent, 0.07 * CONTROL_RATE, mode="nearest")
    melody += 0.05 * lively * wander(length, CONTROL_RATE, 0.5, rng)
    melody += 0.006 * wander(length, CONTROL_RATE, 0.006, rng)  # jitter of the folds
    return Gestures(**tracks, pitch=pitch_hz * np.exp2(melody))


def _draw_score(seconds: float, rng: np.random.Generator, rate: float, lively: float) -> list[Segment]:
    """Random phrases as segments."""
    score = [_REST._replace(milliseconds=rng.uniform(60, 200))]
    elapsed = score[0].milliseconds
    while elapsed < 1000 * seconds:
        phrase: list[Segment] = []
        syllables = int(rng.integers(3, 9))
        for position in range(syllables):
            effort = float(np.clip(1 + 0.18 * lively * rng.standard_normal(), 0.6, 1.3))
            fall = 0.25 * lively * (0.5 - position / syllables)  # phrases start high and sink
            syllable = _draw_syllable(rng, effort, last=position == syllables - 1)
            phrase += [segment._replace(accent=fall + 0.5 * (effort - 1)) for segment in syllable]
        phrase.append(_REST._replace(milliseconds=rng.uniform(120, 480)))
        score += [segment._replace(milliseconds=segment.milliseconds / rate) for segment in phrase]
        elapsed += sum(segment.milliseconds for segment in score[-len(phrase) :])
    return score


def _draw_syllable(rng: np.random.Generator, effort: float, last: bool) -> list[Segment]:
    """Mostly consonant and vowel, sometimes a second consonant; effort opens the mouth and is louder."""
    consonants, vowels = list(_CONSONANTS.values()), list(_VOWELS.values())
    onset = consonants[rng.integers(len(consonants))] if rng.random() < 0.9 else ()
    vowel = vowels[rng.integers(len(vowels))]
    vowel = vowel._replace(
        milliseconds=vowel.milliseconds * rng.uniform(0.6, 1.3) * (1.4 if last else 1.0),
        opening=vowel.opening * effort,
        voice=effort,
    )
    coda = consonants[rng.integers(len(consonants))] if rng.random() < 0.3 else ()
    return [*onset, vowel, *coda]


def _fill(track: FloatArray) -> FloatArray:
    """Where no target stands (NaN), go straight from the last one to the next."""
    known = np.flatnonzero(np.isfinite(track))
    if known.size == 0:  # of all tracks only the place of the noise can be so, and then there is no noise
        return np.full_like(track, 4000.0)
    return np.interp(np.arange(len(track)), known, track[known])


def wander(length: int, rate: float, seconds: float, rng: np.random.Generator) -> FloatArray:
    """Smooth noise of variance 1, `rate` samples a second, that changes over about `seconds`, (length,)."""
    sigma = max(seconds * rate, 0.5)
    noise = gaussian_filter1d(rng.standard_normal(length + int(8 * sigma)), sigma, mode="wrap")[:length]
    # The filter leaves 1 / (2 sqrt(pi) sigma) of the variance of white noise.
    return np.asarray(noise * np.sqrt(2 * np.sqrt(np.pi) * sigma))
