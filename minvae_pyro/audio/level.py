"""How loud a sound is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

SILENCE = 1e-8
"""Root mean square up to which there is nothing to hear: -160 dB."""

_PIECE = 1 << 20  # samples
_BLOCK = 160  # samples, 10 ms at 16 kHz
_GATED = 1e-4  # of the loudest block: 80 dB below it there is no sound but a gate or padding


def level(waveform: Tensor) -> float:
    """Root mean square over everything, in pieces: the squares of an hour would take gigabytes."""
    samples = waveform.numpy(force=True).reshape(-1)
    pieces = (samples[first : first + _PIECE] for first in range(0, len(samples), _PIECE))
    return math.sqrt(math.fsum(np.sum(np.square(piece, dtype=np.float64)) for piece in pieces) / max(1, len(samples)))


def sounding_level(waveform: Tensor) -> float:
    """Root mean square of a waveform (samples,) where it sounds: digital silence around it or in it changes nothing."""
    # what is padded to whole frames has the level that it had
    samples = np.trim_zeros(waveform.numpy(force=True))
    if len(samples) == 0:
        return 0.0
    whole = len(samples) // _BLOCK * _BLOCK
    blocks = _root_mean_square(samples[:whole].reshape(-1, _BLOCK), 1)
    sounding = blocks >= _GATED * blocks.max(initial=0.0)
    return float(_root_mean_square(samples if sounding.all() else blocks[sounding]))


def _root_mean_square(samples: NDArray[Any], axis: int | None = None) -> Any:
    # by numpy, whose sums do not depend on the number of threads
    return np.sqrt(np.mean(np.square(samples, dtype=np.float64), axis))
