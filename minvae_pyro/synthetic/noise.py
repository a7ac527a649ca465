"""Noises of the demonstration and the tests: other synthetic talkers, coloured noise, machines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.synthetic.gestures import FloatArray
from minvae_pyro.synthetic.talker import draw_talker, speak
from minvae_pyro.synthetic.voice import SAMPLE_RATE

_LEVEL = 0.06  # root mean square
_BABBLERS = 6
_BREATH_SECONDS = 8.0  # talkers of the babble are drawn in pieces of at most this length, to bound memory


def synthetic_noise(kind: str, samples: int, seed: int) -> Tensor:
    """Draw a noise of `NOISE_KINDS` at 16 kHz, (samples,) float32 of root mean square 0.06; peaks may pass 1.

    The seed decides everything: equal arguments give equal tensors.

    Raises:
        UserError: Unknown kind, or not one sample.

    Example:
        >>> once, again = (synthetic_noise("pink", 1000, seed=1) for _ in range(2))
        >>> bool((once == again).all())
        True
    """
    if kind not in _DRAW:
        raise UserError(f"unknown synthetic noise {kind!r}; choose one of {', '.join(NOISE_KINDS)}")
    if samples < 1:
        raise UserError(f"cannot draw {samples} samples of noise; ask for at least 1")
    noise = _DRAW[kind](samples, np.random.default_rng([seed, *kind.encode()]))
    noise = noise * (_LEVEL / np.sqrt(np.mean(noise**2)))
    return torch.from_numpy(noise.astype(np.float32))


def _babble(samples: int, rng: np.random.Generator) -> FloatArray:
    """Several talkers at once, each somewhere in the middle of a sentence."""
    seconds = min(_BREATH_SECONDS, samples / SAMPLE_RATE + 1)
    pieces = int(np.ceil(samples / (seconds * SAMPLE_RATE)))
    crowd = np.zeros(samples)
    for seed in rng.integers(2**31, size=_BABBLERS):
        talker = draw_talker(int(seed))
        speech = np.concatenate([speak(seconds, int(seed) + piece, talker=talker).numpy() for piece in range(pieces)])
        crowd += np.roll(speech, rng.integers(len(speech)))[:samples]
    return crowd


def _coloured(samples: int, rng: np.random.Generator, exponent: float) -> FloatArray:
    """Gaussian noise whose power falls as 1 / frequency**exponent above 20 Hz."""
    length = samples + 2  # at least three samples: one bin beside the constant
    spectrum = np.fft.rfft(rng.standard_normal(length))
    hertz = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum * np.maximum(hertz, 20.0) ** (-exponent / 2), length)[:samples]


def _hum(samples: int, rng: np.random.Generator) -> FloatArray:
    """A transformer: harmonics of 50 Hz over a faint hiss."""
    time = np.arange(samples) / SAMPLE_RATE
    orders = np.arange(1, 25)[:, None]
    strength = rng.uniform(0.3, 1.0, orders.shape) / orders
    phase = rng.uniform(0, 2 * np.pi, orders.shape)
    tones = strength * np.sin(2 * np.pi * 50 * orders * time + phase)
    return tones.sum(0) + 0.03 * rng.standard_normal(samples)


def _siren(samples: int, rng: np.random.Generator) -> FloatArray:
    """A wail that sweeps up and down with its harmonics."""
    time = np.arange(samples) / SAMPLE_RATE
    sweep = np.sin(2 * np.pi * rng.uniform(0.3, 0.6) * time + rng.uniform(0, 2 * np.pi))
    phase = 2 * np.pi * np.cumsum(800 * np.exp2(0.6 * sweep)) / SAMPLE_RATE
    wail = np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)
    return wail + 0.01 * rng.standard_normal(samples)


def _clicks(samples: int, rng: np.random.Generator) -> FloatArray:
    """A keyboard: about eight short knocks a second over a faint hiss."""
    strikes = (rng.random(samples) < 8 / SAMPLE_RATE) * rng.uniform(0.3, 1.0, samples)
    knock = rng.standard_normal(480) * np.exp(-np.arange(480) / 80)
    return np.convolve(strikes, knock)[:samples] + 0.005 * rng.standard_normal(samples)


_DRAW: dict[str, Callable[[int, np.random.Generator], FloatArray]] = {
    "babble": _babble,
    "white": partial(_coloured, exponent=0.0),
    "pink": partial(_coloured, exponent=1.0),
    "brown": partial(_coloured, exponent=2.0),
    "hum": _hum,
    "siren": _siren,
    "clicks": _clicks,
}

NOISE_KINDS = tuple(_DRAW)
