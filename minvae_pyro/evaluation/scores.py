"""Objective scores of an estimate of speech against the clean speech.

SI-SDR, SI-SIR and SI-SAR: Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019, arXiv 1811.02508, section 3.
PESQ: ITU-T P.862.1 (narrow-band) and P.862.2 (wide-band). STOI: Taal et al., IEEE TASLP 19(7), 2011. ESTOI: Jensen &
Taal, IEEE/ACM TASLP 24(11), 2016.
"""

import math
import warnings
from typing import Any

import numpy as np
import pesq as pesq_library
import pystoi
import soxr  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.probability.settled import alone

METRICS = ("si_sdr", "si_sir", "si_sar", "pesq", "pesq_nb", "stoi", "estoi")
"""Scores by the names of their columns: the first three in decibels, and of all of them more is better."""

_PESQ_RATE = 16000  # Hz, the only rate of wide-band PESQ
# The reference code of P.862 keeps a table of 50 utterances and overruns it without a check. An utterance
# and the pause after it last 0.4 s at least, so that 20 s are safe; 30 s have ended the process.
_PESQ_SECONDS = 20.0
_STOI_SECONDS = 0.4  # 30 frames; pystoi fails on less than one


# Share of the energy that rounding leaves of nothing: an estimate in the span of speech and noise has no artefacts.
_ROUNDING = 1e-25


def si_sdr(clean: Tensor, estimate: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio, in decibels, of signals (..., samples) of one length.

    The target is the projection of the estimate on the clean signal, ``a clean`` with ``a = <estimate, clean> /
    |clean|^2``; the ratio is ``|a clean|^2 / |estimate - a clean|^2``. Means are not removed. Computed in double
    precision. Equation :eq:`si-sdr-score`.

    Returns:
        (...) float64. Infinite for a perfect estimate (up to scale), minus infinite for an orthogonal one, NaN where
        either signal is silent.

    Example:
        >>> clean = torch.tensor([1.0, 1.0, 1.0, 1.0])
        >>> si_sdr(clean, 0.5 * clean + torch.tensor([0.05, -0.05, 0.05, -0.05]))
        tensor(20.0000, dtype=torch.float64)
    """
    clean, estimate = clean.double(), estimate.double()
    scale = (estimate * clean).sum(-1, keepdim=True) / clean.square().sum(-1, keepdim=True)
    target = scale * clean
    return 10 * torch.log10(target.square().sum(-1) / (estimate - target).square().sum(-1))


def si_sir_sar(clean: Tensor, noise: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
    """Scale-invariant signal-to-interference and signal-to-artefacts ratios, in decibels, of signals (..., samples).

    The distortion of :func:`si_sdr` is split in two: what of it lies in the plane of clean speech and the added noise
    is interference, the rest is artefacts. SI-SIR is ``|target|^2 / |interference|^2``; SI-SAR is, as in BSS Eval and
    in ``fast_bss_eval``, ``|target + interference|^2 / |artefacts|^2`` (Le Roux et al. leave the interference out of
    the numerator). Computed in double precision.

    Returns:
        SI-SIR and SI-SAR, (...) float64 each. SI-SAR is infinite for an estimate that is a weighted sum of speech and
        noise, such as the mixture itself. NaN where clean speech or estimate is silent.

    Example:
        >>> clean, noise = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])
        >>> si_sir_sar(clean, noise, torch.tensor([1.0, 0.1, 0.01]))[0]
        tensor(20.0000, dtype=torch.float64)
    """
    clean, noise, estimate = clean.double(), noise.double(), estimate.double()
    target = _project(estimate, clean)
    # the noise as it stands upright on the speech: the two span the same plane
    upright = noise - _project(noise, clean)
    interference = torch.where(
        upright.square().sum(-1, keepdim=True) > 0, _project(estimate, upright), torch.zeros_like(estimate)
    )
    parts = target, interference, target + interference, estimate - target - interference
    target, interference, both, artefacts = (part.square().sum(-1) for part in parts)
    artefacts = torch.where(artefacts > _ROUNDING * both, artefacts, 0.0)
    return 10 * torch.log10(target / interference), 10 * torch.log10(both / artefacts)


def _project(signal: Tensor, onto: Tensor) -> Tensor:
    return (signal * onto).sum(-1, keepdim=True) / onto.square().sum(-1, keepdim=True) * onto


def scores(clean: Tensor, estimate: Tensor, sample_rate: int, noise: Tensor | None = None) -> dict[str, Any]:
    """All scores of one estimate.

    Args:
        clean: (samples,).
        estimate: (samples,), aligned with ``clean``.
        sample_rate: in Hz. PESQ gets both at 16 kHz, whatever the rate.
        noise: (samples,), what was added to ``clean``; without it there is no SI-SIR and no SI-SAR.

    Returns:
        Those of :data:`METRICS`, higher is better, and ``note`` on those that are NaN: PESQ refuses clips without
        detectable speech or shorter than a quarter of a second, and is not tried beyond 20 s (its reference code may
        crash); STOI needs 30 frames (about 0.4 s) of speech.

    Raises:
        UserError: not one channel each, unequal lengths, or samples that are not finite.
    """
    sounds = {"clean sound": clean, "estimate": estimate} | ({} if noise is None else {"noise": noise})
    if any(sound.ndim != 1 for sound in sounds.values()):
        shapes = " and ".join(str(tuple(sound.shape)) for sound in sounds.values())
        raise UserError(f"Scores compare mono sounds, not tensors of shape {shapes}: mix the channels down.")
    if len({len(sound) for sound in sounds.values()}) > 1:
        lengths = ", ".join(str(len(sound)) for sound in sounds.values())
        raise UserError(f"{', '.join(sounds)} differ in length ({lengths} samples): align them.")
    for name, sound in sounds.items():
        if not torch.isfinite(sound).all():
            raise UserError(f"The {name} has NaN or infinite samples: there is no score for it.")
    undefined: dict[str, Any] = dict.fromkeys(METRICS, math.nan)
    reference, degraded = (sound.detach().cpu().double().numpy() for sound in (clean, estimate))
    if not reference.any() or not degraded.any():
        return {**undefined, "note": f"silent {'estimate' if reference.any() else 'clean sound'}"}
    result = undefined
    result["si_sdr"] = float(si_sdr(clean.detach(), estimate.detach()))
    if noise is not None:
        result["si_sir"], result["si_sar"] = map(float, si_sir_sar(clean.detach(), noise.detach(), estimate.detach()))
    result["pesq"], result["pesq_nb"], pesq_note = _pesq(reference, degraded, sample_rate)
    result["stoi"], result["estoi"], stoi_note = _stoi(reference, degraded, sample_rate)
    result["note"] = "; ".join(filter(None, (pesq_note, stoi_note)))
    return result


def _pesq(clean: NDArray[Any], estimate: NDArray[Any], sample_rate: int) -> tuple[float, float, str]:
    """Wide-band, narrow-band, and a note."""
    if len(clean) > _PESQ_SECONDS * sample_rate:
        return np.nan, np.nan, f"PESQ: longer than {_PESQ_SECONDS:.0f} s"
    if sample_rate != _PESQ_RATE:
        clean, estimate = (soxr.resample(x, sample_rate, _PESQ_RATE, "VHQ") for x in (clean, estimate))
    try:
        # one without the other is no score: what makes one NaN makes the other a number by chance
        wide, narrow = (float(pesq_library.pesq(_PESQ_RATE, clean, estimate, band)) for band in ("wb", "nb"))
    except pesq_library.PesqError as error:
        reason = error.args[0] if error.args else type(error).__name__
        return np.nan, np.nan, f"PESQ: {reason.decode() if isinstance(reason, bytes) else reason}"
    except ValueError:  # the library looks up an error number in a score that came out as NaN
        return np.nan, np.nan, "PESQ: undefined"
    except Exception as error:  # a score that fails is no score, and no reason to lose the others
        return np.nan, np.nan, f"PESQ: {type(error).__name__}"
    return wide, narrow, ""


def _stoi(clean: NDArray[Any], estimate: NDArray[Any], sample_rate: int) -> tuple[float, float, str]:
    too_short = np.nan, np.nan, "STOI: fewer than 30 frames of speech"
    if len(clean) < _STOI_SECONDS * sample_rate:
        return too_short
    # ESTOI dithers its input with NumPy's global generator: a fixed seed makes it a function of its input.
    with alone():
        return _dithered_stoi(clean, estimate, sample_rate, too_short)


def _dithered_stoi(
    clean: NDArray[Any], estimate: NDArray[Any], sample_rate: int, too_short: tuple[float, float, str]
) -> tuple[float, float, str]:
    state = np.random.get_state()
    np.random.seed(0)
    try:
        with warnings.catch_warnings():
            # With too few frames pystoi warns and returns 1e-5, which would pass for a score.
            warnings.simplefilter("error", RuntimeWarning)
            plain, extended = (pystoi.stoi(clean, estimate, sample_rate, extended=e) for e in (False, True))
    except RuntimeWarning:
        return too_short
    except Exception as error:
        return np.nan, np.nan, f"STOI: {type(error).__name__}"
    finally:
        np.random.set_state(state)
    return float(plain), float(extended), ""
