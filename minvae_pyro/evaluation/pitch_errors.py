"""What an estimate of speech makes of the pitch of its talker, who is followed by pYIN in both.

Voicing decision error: Nakatani et al., "A method for fundamental frequency estimation and voicing decision", Speech
Communication 50(3), 2008. Gross pitch error: Rabiner et al., "A comparative performance study of several pitch
detection algorithms", IEEE TASSP 24(5), 1976. Both together: Chu & Alwan, "Reducing F0 frame error of F0 tracking
algorithms under noisy conditions with an unvoiced/voiced classification frontend", ICASSP 2009.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from minvae_pyro.audio.pitch import Pitch, pitch_of
from minvae_pyro.errors import UserError

PITCH_ERRORS = ("voicing_error", "gross_pitch_error", "pitch_frame_error")
"""Errors by the names of their columns: shares of frames, and of all of them less is better."""

_GROSS = 0.2  # of the true pitch


def pitch_errors(clean: Tensor, estimate: Tensor, sample_rate: int) -> dict[str, float]:
    """Compare the pitch of an estimate with that of clean speech, every 10 ms.

    Args:
        clean: (samples,).
        estimate: (samples,), aligned with ``clean``.
        sample_rate: in Hz.

    Returns:
        See :func:`compare`.

    Raises:
        UserError: the two differ in length, or librosa cannot be loaded.
    """
    if clean.shape != estimate.shape:
        raise UserError(
            f"clean sound and estimate differ in length ({len(clean)}, {len(estimate)} samples): align them."
        )
    return compare(pitch_of(clean, sample_rate), pitch_of(estimate, sample_rate))


def compare(true: Pitch, found: Pitch) -> dict[str, float]:
    """The errors of a pitch that was found, on the frames of the true one.

    Returns:
        By the names of :data:`PITCH_ERRORS`: the share of frames that are voiced in one and not in the other; of those
        voiced in both, the share whose pitch is off by more than a fifth (NaN where there are none); the share of all
        frames that have either error.
    """
    voicing = true.voiced != found.voiced
    both = true.voiced & found.voiced
    gross = np.zeros_like(both)
    gross[both] = np.abs(found.frequency[both] - true.frequency[both]) > _GROSS * true.frequency[both]
    values = voicing.mean(), gross[both].mean() if both.any() else math.nan, (voicing | gross).mean()
    return dict(zip(PITCH_ERRORS, map(float, values), strict=True))
