"""Estimates that are late or early: scores compare sample by sample, so that a few milliseconds ruin them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from minvae_pyro.evaluation.scores import si_sdr

_FARTHEST = 1.0  # seconds
_SHORT = 0.5  # seconds, of a sound in which one vowel may look like another
_SMALL = 1e-3  # seconds: a ratio that falls by so little has other reasons
_GAIN = 3.0  # dB that aligning must gain
_LEAST = -10.0  # dB that it must reach: below, two sounds agree by chance


def delay(clean: Tensor, estimate: Tensor, farthest: int) -> int:
    """Samples by which an estimate lags its clean sound, (samples,) each; below zero it is early.

    Where their cross-correlation is largest, of either sign, among the delays up to ``farthest`` samples. Sounds of
    which one is silent have none.

    Example:
        >>> clean = torch.randn(1000)
        >>> delay(clean, -0.5 * torch.cat([torch.zeros(160), clean[:-160]]), 400)
        160
    """
    clean, estimate = clean.double().cpu(), estimate.double().cpu()
    length = len(clean) + len(estimate)
    spectrum = torch.fft.rfft(estimate, length) * torch.fft.rfft(clean, length).conj()
    correlation = torch.fft.irfft(spectrum, length).abs()
    farthest = max(0, min(farthest, len(clean) - 1))
    lags = torch.arange(-farthest, farthest + 1)
    # by distance, so that of equal values the nearest counts
    lags = lags[lags.abs().argsort(stable=True)]
    return int(lags[correlation[lags].argmax()])


def aligned(estimate: Tensor, lag: int) -> Tensor:
    """An estimate (samples,) that is ``lag`` samples late, put in its place, with silence where it has nothing."""
    return pad(estimate, (-lag, lag))


def delay_note(clean: Tensor, estimate: Tensor, sample_rate: int) -> str:
    """What to say of an estimate that is late or early by a millisecond or more, and would score better in its place.

    ``""`` for any other. Both are (samples,), of one length.
    """
    farthest = min(round(_FARTHEST * sample_rate), len(clean) // 4)
    lag = delay(clean, estimate, farthest) if len(clean) >= _SHORT * sample_rate else 0
    if abs(lag) < _SMALL * sample_rate:
        return ""
    before, after = (float(si_sdr(clean, one)) for one in (estimate, aligned(estimate, lag)))
    if not (after >= _LEAST and after - before >= _GAIN):
        return ""
    late = "late" if lag > 0 else "early"
    return f"{1000 * abs(lag) / sample_rate:.1f} ms {late}: SI-SDR {after:.1f} dB if it were aligned"
