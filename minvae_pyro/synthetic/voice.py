"""Sound of articulatory gestures: glottal source, moving formants, noise of constrictions.

A source-filter synthesiser in the manner of Klatt (J. Acoust. Soc. Am. 67, 1980) with the glottal pulse of KLGLOTT88
(Klatt & Klatt, J. Acoust. Soc. Am. 87, 1990). Filters that move are applied by overlap-add of short-time spectra, so
that nothing loops over frames.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter, resample_poly
from scipy.signal.windows import hann

from minvae_pyro.synthetic.gestures import FloatArray, Gestures

SAMPLE_RATE = 16000  # Hz
_HOP = 80  # 5 ms: the frame of a formant synthesiser
_WINDOW = 4 * _HOP  # periodic Hann windows at a quarter of their length sum to two
_FFT = 1024  # leaves 44 ms for the resonances to ring out before they would wrap around
_OVERSAMPLING = 3  # of the glottal pulse, whose corner would alias otherwise


def render_voice(
    gestures: Gestures,
    samples: int,
    rng: np.random.Generator,
    tract: float = 1.0,
    breath: float = 0.05,
    tilt_hz: float = 3500.0,
) -> FloatArray:
    """Turn gestures into sound.

    The lips drive it as they do in life: the wider the gap, the higher F1 and the louder; the rounder, the lower F2 and
    F3; shut, only the nose or the faint murmur through the walls is left.

    Args:
        gestures: What the organs do.
        samples: Length of the sound at `SAMPLE_RATE`.
        rng: Source of the noises.
        tract: Formants are this many times those of a typical man; about 1.15 for a woman.
        breath: Strength of the breath that leaks through the vibrating glottis.
        tilt_hz: Corner of the low-pass that softens the glottal pulse, Hz.

    Returns:
        (samples,) float64, at no particular level.
    """
    now = gestures.at(np.arange(samples) / SAMPLE_RATE)
    gap = np.clip(now.opening / 0.08, 0, 1)
    lips = gap**2 * (3 - 2 * gap)  # 0 when shut, 1 from a small gap on, smooth between
    oral = now.flow * lips
    aperture = np.clip(now.opening, 0, 1.2)

    glottis = _glottal_flow(now.pitch, tilt_hz) * now.voice
    hiss = rng.standard_normal(samples)
    # Breath blows hardest while the folds move: noise rides on the pulses.
    glottis += hiss * (0.15 * now.aspiration + breath * now.voice * (0.3 + np.abs(glottis)))
    # windows that touch the sound when the first one is centred on its first sample
    frames = (samples + _WINDOW // 2 - 1) // _HOP + 1
    posture = gestures.at(np.arange(frames) * _HOP / SAMPLE_RATE)
    resonances = functools.reduce(np.multiply, map(_resonance, *formants(posture, tract)))
    mouth = _filter_moving(glottis * oral * (0.4 + 0.6 * aperture), resonances)

    noise = np.diff(rng.standard_normal(samples + 1)) * now.friction * (0.3 + 0.7 * lips)
    constriction = _resonance(posture.friction_hz, 0.35 * posture.friction_hz)
    constriction /= np.abs(constriction).max(axis=-1, keepdims=True)
    friction = _filter_moving(noise, constriction)

    nose = glottis * now.nasal * (1 - oral)
    for formant, bandwidth in ((260, 80), (1150, 250), (2300, 400), (3300, 500)):
        nose = _filter_fixed(nose, formant * tract, bandwidth)
    walls = _filter_fixed(glottis * (1 - oral) * (1 - now.nasal), 170, 120)
    return mouth + 0.4 * friction + 0.3 * nose + 0.06 * walls


def formants(posture: Gestures, tract: float = 1.0) -> tuple[FloatArray, FloatArray]:
    """Resonances of a vocal tract at T instants: frequencies, rising, and bandwidths in Hz, each (7, T).

    Hand-drawn maps, scaled by ``tract``, that put the vowels near the averages of Peterson & Barney (J. Acoust. Soc.
    Am. 24, 1952).
    """
    aperture = np.clip(posture.opening, 0, 1.2)
    rounding = np.clip(1 - posture.width, 0, 1)
    high = np.clip(posture.height, 0, 1)
    front = np.clip(posture.front, 0, 1)
    first = 240 + 540 * aperture * (1 - 0.45 * high)
    second = np.maximum((880 + 1480 * front) * (1 - 0.22 * rounding), first + 220)
    third = np.maximum(2450 + 480 * front * high - 280 * rounding, second + 300)
    upper = [np.full_like(first, hertz) for hertz in (3600, 4400, 5300, 6200)]
    damping = [np.full_like(first, hertz) for hertz in (90, 140, 220, 300, 400, 500)]
    # An open glottis drains the first resonance most.
    return tract * np.stack([first, second, third, *upper]), np.stack([60 + 80 * posture.aspiration, *damping])


def _glottal_flow(pitch: FloatArray, tilt_hz: float) -> FloatArray:
    """Derivative of the glottal flow of KLGLOTT88 for a pitch per sample, (samples,), peak about one."""
    open_quotient = 0.6
    fine = np.repeat(pitch, _OVERSAMPLING)
    phase = np.cumsum(fine / (SAMPLE_RATE * _OVERSAMPLING)) % 1.0
    opened = phase / open_quotient
    # The flow is 3t^2 - 3t^3 while the folds are open; the lips radiate its derivative.
    pulse = np.where(opened < 1, 2 * opened - 3 * opened**2, 0.0)
    pulse = resample_poly(pulse, 1, _OVERSAMPLING)
    pole = np.exp(-2 * np.pi * tilt_hz / SAMPLE_RATE)
    return np.asarray(lfilter([1 - pole], [1, -pole], pulse))


def _resonance(frequency: FloatArray, bandwidth: FloatArray) -> npt.NDArray[np.complex128]:
    """Klatt's resonator of unit gain at 0 Hz as a frequency response, (T,) Hz -> (T, _FFT // 2 + 1)."""
    first, second = (part[:, None] for part in _two_poles(frequency, bandwidth))
    delay = np.exp(-2j * np.pi * np.arange(_FFT // 2 + 1) / _FFT)
    return np.asarray((1 + first + second) / (1 + first * delay + second * delay**2))


def _two_poles(frequency: FloatArray, bandwidth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients of the first and the second delay in the denominator of that resonator."""
    radius = np.exp(-np.pi * bandwidth / SAMPLE_RATE)
    return -2 * radius * np.cos(2 * np.pi * frequency / SAMPLE_RATE), radius**2


def _filter_moving(signal: FloatArray, response: npt.NDArray[np.complex128]) -> FloatArray:
    """Filter (samples,) by a moving response (T, _FFT // 2 + 1), whose row n applies around sample n * _HOP."""
    frames, half = len(response), _WINDOW // 2
    padded = np.pad(signal, (half, max(0, (frames - 1) * _HOP + half - len(signal))))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:frames]
    pieces = np.fft.irfft(np.fft.rfft(pieces * (hann(_WINDOW, sym=False) / 2), _FFT) * response, _FFT)
    # Overlap-add: cut every output frame into hops and add those that fall on the same place.
    blocks = -(-_FFT // _HOP)
    pieces = np.pad(pieces, ((0, 0), (0, blocks * _HOP - _FFT))).reshape(frames, blocks, _HOP)
    out = np.zeros((frames + blocks - 1, _HOP))
    for block in range(blocks):
        out[block : block + frames] += pieces[:, block]
    return out.reshape(-1)[half : half + len(signal)]


def _filter_fixed(signal: FloatArray, frequency: float, bandwidth: float) -> FloatArray:
    """The resonator as a recursive filter."""
    first, second = (float(part) for part in _two_poles(np.array(frequency), np.array(bandwidth)))
    return np.asarray(lfilter([1 + first + second], [1, first, second], signal))
