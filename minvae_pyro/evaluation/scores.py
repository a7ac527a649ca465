"""Objective scores of an estimate of speech against the clean speech.

SI-SDR: Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019, section 3. PESQ wide-band: ITU-T
P.862.2. STOI: Taal et al., IEEE TASLP 19(7), 2011. ESTOI: Jensen & Taal, IEEE/ACM TASLP 24(11), 2016.
"""

import warnings
from typing import Any, TypedDict

import numpy as np
import pesq as pesq_library
import pystoi
import soxr  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from torch import Tensor

from minvae_pyro.errors import UserError

METRICS = ("si_sdr", "pesq", "stoi", "estoi")

_PESQ_RATE = 16000  # Hz, the only rate of wide-band PESQ
# The reference code of P.862 keeps a table of 50 utterances and overruns it without a check. An utterance
# and the pause after it last 0.4 s at least, so that 20 s are safe; 30 s were seen to end the process.
_PESQ_SECONDS = 20.0
_STOI_SECONDS = 0.4  # 30 frames; pystoi fails on less than one


class Scores(TypedDict):
    """The scores of one estimate, higher is better; NaN where one is not defined, and ``note`` says why."""

    si_sdr: float
    pesq: float
    stoi: float
    estoi: float
    note: str


def si_sdr(clean: Tensor, estimate: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio, in decibels.

    The target is the projection of the estimate on the clean signal, ``a clean`` with
    ``a = <estimate, clean> / |clean|^2``; the ratio is ``|a clean|^2 / |estimate - a clean|^2``. Means are
    not removed. Computed in double precision.

    Args:
        clean: (..., samples).
        estimate: (..., samples), of the same length.

    Returns:
        (...) float64. Infinite for a perfect estimate (up to scale), minus infinite for an orthogonal one,
        NaN where either signal is silent.
    """
    clean, estimate = clean.double(), estimate.double()
    scale = (estimate * clean).sum(-1, keepdim=True) / clean.square().sum(-1, keepdim=True)
    target = scale * clean
    return 10 * torch.log10(target.square().sum(-1) / (estimate - target).square().sum(-1))


def scores(clean: Tensor, estimate: Tensor, sample_rate: int) -> Scores:
    """SI-SDR, wide-band PESQ, STOI and ESTOI of one estimate.

    Args:
        clean: (samples,).
        estimate: (samples,), aligned with ``clean``.
        sample_rate: in Hz. PESQ hears both at 16 kHz, whatever the rate.

    Returns:
        The four scores, and a note on those that are NaN: PESQ refuses clips without detectable speech or
        shorter than a quarter of a second, and is not tried beyond 20 s (its reference code may crash); STOI
        needs 30 frames (about 0.4 s) of speech.

    Raises:
        UserError: not one channel each, unequal lengths, or samples that are not finite.
    """
    if clean.ndim != 1 or estimate.ndim != 1:
        shapes = f"{tuple(clean.shape)} and {tuple(estimate.shape)}"
        raise UserError(f"Scores compare two mono sounds, not tensors of shape {shapes}: mix the channels down.")
    if len(clean) != len(estimate):
        raise UserError(
            f"Clean sound and estimate differ in length ({len(clean)}, {len(estimate)} samples): align them."
        )
    if not (torch.isfinite(clean).all() and torch.isfinite(estimate).all()):
        raise UserError("Clean sound or estimate has NaN or infinite samples: there is no score for it.")
    reference, degraded = (sound.detach().cpu().double().numpy() for sound in (clean, estimate))
    if not reference.any() or not degraded.any():
        silent = "estimate" if reference.any() else "clean sound"
        return {"si_sdr": np.nan, "pesq": np.nan, "stoi": np.nan, "estoi": np.nan, "note": f"silent {silent}"}
    pesq, pesq_note = _pesq(reference, degraded, sample_rate)
    stoi, estoi, stoi_note = _stoi(reference, degraded, sample_rate)
    return {
        "si_sdr": float(si_sdr(clean.detach(), estimate.detach())),
        "pesq": pesq,
        "stoi": stoi,
        "estoi": estoi,
        "note": "; ".join(filter(None, (pesq_note, stoi_note))),
    }


def _pesq(clean: NDArray[Any], estimate: NDArray[Any], sample_rate: int) -> tuple[float, str]:
    if len(clean) > _PESQ_SECONDS * sample_rate:
        return np.nan, f"PESQ: longer than {_PESQ_SECONDS:.0f} s"
    if sample_rate != _PESQ_RATE:
        clean, estimate = (soxr.resample(x, sample_rate, _PESQ_RATE, "VHQ") for x in (clean, estimate))
    try:
        return float(pesq_library.pesq(_PESQ_RATE, clean, estimate, "wb")), ""
    except pesq_library.PesqError as error:
        reason = error.args[0] if error.args else type(error).__name__
        return np.nan, f"PESQ: {reason.decode() if isinstance(reason, bytes) else reason}"
    except ValueError:  # the library looks up an error number in a score that came out as NaN
        return np.nan, "PESQ: undefined"


def _stoi(clean: NDArray[Any], estimate: NDArray[Any], sample_rate: int) -> tuple[float, float, str]:
    too_short = np.nan, np.nan, "STOI: fewer than 30 frames of speech"
    if len(clean) < _STOI_SECONDS * sample_rate:
        return too_short
    # ESTOI dithers its input with NumPy's global generator: a fixed seed makes it a function of its input.
    state = np.random.get_state()
    np.random.seed(0)
    try:
        with warnings.catch_warnings():
            # With too few frames pystoi warns and returns 1e-5, which would pass for a score.
            warnings.simplefilter("error", RuntimeWarning)
            plain, extended = (pystoi.stoi(clean, estimate, sample_rate, extended=e) for e in (False, True))
    except RuntimeWarning:
        return too_short
    finally:
        np.random.set_state(state)
    return float(plain), float(extended), ""
