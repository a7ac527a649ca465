"""Which cells of a spectrogram say something of the sound, and which a codec, a filter or a gate left empty.

A model of sound takes whatever it is given for evidence: half a second of digital silence, or a band that a telephone
cut off, then speaks against all speech. Such cells are missing, not quiet.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

EMPTY = 10**-7.7
"""A cell is empty 77 dB below a white sound at the level of the recording; pauses of clean studio speech lie higher."""

_CLIFF = 18.0  # dB by which a band that was cut off lies below what stands beside it
_BESIDE = 16  # bins that stand beside an edge, 250 Hz
_EDGE = 24  # bins in which a filter falls
_ABOVE = 96  # nothing is cut off above less than 1.5 kHz: dull sounds are dull by themselves
_SHOULDER = 6.0  # dB by which a filter has begun to fall
_NOTCH = 20.0  # dB by which a notch lies below the middle of what surrounds it
_SURROUNDING = 33  # bins
_LOW = 20  # below 300 Hz a voice has gaps of its own


def observed_cells(power: Tensor, per_cell: float, band: Tensor | None = None) -> Tensor | None:
    """Cells that say something of the sound, (N, F) bool, or None where all do.

    Left out are cells without power (digital silence, gates, holes of a codec) and all outside of :func:`audible_band`.

    Args:
        power: (N, F) of a recording, or of a part of one, at unit level.
        per_cell: power of a cell of white noise at unit level, :attr:`minvae_pyro.audio.stft.STFT.cell_power`.
        band: (F,) bool, the audible band of the whole recording; found in ``power`` when omitted.
    """
    loud = power > EMPTY * per_cell
    observed = loud & (audible_band(power, per_cell) if band is None else band)
    return None if bool(observed.all()) else observed


def audible_band(power: Tensor, per_cell: float) -> Tensor:
    """Bins that no filter, no lower sample rate and no codec has cut off, (F,) bool; all where nothing can be heard.

    A band counts as cut off, from where the spectrum begins to fall, if all of it lies 18 dB below what stands beside
    its edge: sounds have no such cliffs that end the spectrum. Notches above 300 Hz count too.

    Args:
        power: (N, F) of a whole recording at unit level.
        per_cell: as of :func:`observed_cells`.
    """
    everything = torch.ones(power.shape[-1], dtype=torch.bool, device=power.device)
    sounding = power[power.mean(1) > EMPTY * per_cell]
    if len(sounding) == 0 or len(everything) < 2 * _ABOVE:
        return everything
    # the loud moments of each bin: a pause is no filter
    loud = sounding.kthvalue(max(1, round(0.95 * len(sounding))), 0).values
    level = 10 * loud.clamp_min(1e-20).log10()
    everything[_edge(level) :] = False
    surrounding = pad(level[None], (_SURROUNDING // 2, _SURROUNDING // 2), mode="reflect")[0]
    notched = level <= surrounding.unfold(0, _SURROUNDING, 1).median(1).values - _NOTCH
    notched[:_LOW] = False
    return everything & ~notched


def _edge(level: Tensor) -> int:
    """The bin from which on a spectrum, dB (F,), is cut off; F where it is not."""
    bins = torch.arange(_ABOVE, len(level) - 4, device=level.device)
    beside = level.unfold(0, _BESIDE, 1).quantile(0.25, dim=1)[bins - _BESIDE]
    loudest_from = level.flip(0).cummax(0).values.flip(0)
    fallen = beside - loudest_from[(bins + _EDGE).clamp_max(len(level) - 2)] >= _CLIFF
    if not bool(fallen.any()):
        return len(level)
    middle = int(bins[fallen][0])
    # the middle is where the fall is seen first; it has begun where the level was last as before
    before = level[middle - 4 * _BESIDE : middle - _BESIDE + 1]
    as_before = (level[:middle] > before.median() - _SHOULDER).nonzero()
    return int(as_before[-1]) + 1 if len(as_before) else middle
