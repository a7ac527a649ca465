"""The pitch of a voice and when there is one, by probabilistic YIN.

pYIN: Mauch & Dixon, "pYIN: a fundamental frequency estimator using probabilistic threshold distributions", ICASSP 2014.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from minvae_pyro.audio.files import Sound
from minvae_pyro.audio.libraries import load_librosa

LOWEST, HIGHEST = 60.0, 500.0
"""Hz, between which voices are looked for."""

_RATE = 16000  # Hz, at which they are
_HOP = 160
_FRAME = 1024  # nearly four periods of the lowest
_QUIETEST = 1e-5  # of the energy of the loudest frame, which a voice has
_BLOCK = 3000  # frames at once: the most likely path through an hour would fill the memory
_MARGIN = 50  # frames on either side of them, that a path begins and ends in


@dataclass(frozen=True)
class Pitch:
    """The pitch of a voice every 10 ms.

    Attributes:
        times: (N,) float64, centres of the frames in seconds.
        frequency: (N,) float64, Hz; NaN where there is no voice.
    """

    times: NDArray[np.float64]
    frequency: NDArray[np.float64]

    @property
    def voiced(self) -> NDArray[np.bool_]:
        """(N,) where there is a voice."""
        return np.asarray(np.isfinite(self.frequency))


def pitch_of(waveform: Tensor, sample_rate: int) -> Pitch:
    """Follow the pitch of one voice between 60 and 500 Hz.

    Args:
        waveform: (samples,) of any level.
        sample_rate: in Hz.

    Returns:
        A frame at 0 and every 10 ms up to the end of the sound. There is no voice where it is 50 dB below its loudest.

    Raises:
        UserError: librosa cannot be loaded.
    """
    pyin = load_librosa("the pitch of a voice").pyin
    sound = Sound(waveform.detach().cpu().float()[None], sample_rate).resample(_RATE).waveform[0].double().numpy()
    count = len(sound) // _HOP + 1
    # half a frame of nothing around it: its first frame, and its last, are centred on its ends
    padded = np.pad(sound, (_FRAME // 2, _FRAME // 2 + _HOP))
    frequency = np.full(count, np.nan)
    for first in range(0, count, _BLOCK):
        last = min(first + _BLOCK, count)
        begin, end = max(0, first - _MARGIN), min(last + _MARGIN, count)
        piece = padded[begin * _HOP : (end - 1) * _HOP + _FRAME]
        if not piece.any():
            continue
        found = pyin(
            piece,
            fmin=LOWEST,
            fmax=HIGHEST,
            sr=_RATE,
            frame_length=_FRAME,
            hop_length=_HOP,
            center=False,
            fill_na=np.nan,
        )[0]
        frequency[first:last] = found[first - begin : last - begin]
    # what is left of noise below the speech hums, too
    energy = np.concatenate([[0.0], np.square(padded).cumsum()])
    starts = np.arange(count) * _HOP
    energy = energy[starts + _FRAME] - energy[starts]
    frequency[energy < _QUIETEST * energy.max()] = np.nan
    return Pitch(np.arange(count, dtype=np.float64) * (_HOP / _RATE), frequency)
