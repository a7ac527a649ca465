"""How loud a sound is."""

from __future__ import annotations

import numpy as np
from torch import Tensor

SILENCE = 1e-8
"""Root mean square up to which there is nothing to hear: -160 dB."""

_BLOCK = 160  # samples, 10 ms at 16 kHz
_GATED = 1e-4  # of the loudest block: 80 dB below it there is no sound but a gate or padding


def level(waveform: Tensor) -> float:
    """Root mean square over everything."""
    # by numpy, whose sums do not depend on the number of threads
    return float(np.sqrt(np.mean(np.square(waveform.numpy(force=True), dtype=np.float64))))


def sounding_level(waveform: Tensor) -> float:
    """Root mean square of a waveform (samples,) where it sounds: digital silence around it or in it changes nothing."""
    # what is padded to whole frames has the level that it had
    samples = np.trim_zeros(waveform.numpy(force=True))
    if len(samples) == 0:
        return 0.0
    whole = len(samples) // _BLOCK * _BLOCK
    everything = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    if whole == 0:
        return everything
    blocks = np.sqrt(np.mean(np.square(samples[:whole].reshape(-1, _BLOCK), dtype=np.float64), 1))
    sounding = blocks >= _GATED * blocks.max()
    return everything if sounding.all() else float(np.sqrt(np.mean(np.square(blocks[sounding]))))
