"""Lip regions as NTCD-TIMIT and the systems built on it distribute them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from minvae_pyro.errors import UserError
from minvae_pyro.files import reader
from minvae_pyro.video.track import MOUTH_SIDE, MouthTrack

_PIXELS = MOUTH_SIDE**2
LIPS_SUFFIXES = (".mat", ".npy")


@reader
def load_lips(path: Path, frames_per_second: float = 30.0) -> MouthTrack:
    """Load lip regions that somebody else has cut, upright and in grey levels; all count as found.

    Two files are in use, both with a picture's columns one after the other, as MATLAB stores it:

    - NTCD-TIMIT's ``.mat`` (MATLAB 7.3, that is HDF5; Abdelaziz, Interspeech 2017) holds, as ``data`` of
      (T, 4489), the orthonormal two-dimensional DCT of each 67 x 67 picture and not its pixels;
    - ``.npy`` arrays of pixels in [0, 1] or [0, 255], (4489, T) or (T, 4489).

    Arrays of (T, 67, 67) are taken as pixels with rows first.

    The files carry no times: the first picture is at zero, and NTCD-TIMIT has 30 frames a second.

    Raises:
        UserError: the file is missing, cannot be read, or holds no 67 x 67 pictures.
    """
    if not path.is_file():
        raise UserError(f"no such lip file: {path}")
    try:
        values = _read_mat(path) if path.suffix.lower() == ".mat" else np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"cannot read lips from {path}: no HDF5 .mat or .npy file, or damaged") from error
    pictures = _pictures(np.asarray(values), path)
    return MouthTrack(
        torch.from_numpy(pictures),
        torch.arange(len(pictures), dtype=torch.float64) / frames_per_second,
        torch.ones(len(pictures), dtype=torch.bool),
    )


def _read_mat(path: Path) -> NDArray[np.generic]:
    import h5py  # few recordings come with lips of their own

    with h5py.File(path) as file:
        arrays = [item for item in file.values() if isinstance(item, h5py.Dataset)]
        return np.asarray(max(arrays, key=lambda array: array.size)[()])


def _pictures(values: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    if not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
        raise UserError(f"{path} holds {values.dtype}, not lip pictures")
    if values.ndim == 3 and values.shape[1:] == (MOUTH_SIDE, MOUTH_SIDE):
        pictures = values.astype(np.float64)
    elif values.ndim == 2 and _PIXELS in values.shape:
        rows = values if values.shape[1] == _PIXELS else values.T
        pictures = rows.astype(np.float64).reshape(-1, MOUTH_SIDE, MOUTH_SIDE).transpose(0, 2, 1)
    else:
        raise UserError(f"{path} has shape {values.shape}, not T pictures of 67 x 67 = 4489 values")
    if len(pictures) == 0 or not np.isfinite(pictures).all():
        raise UserError(f"{path} holds no pictures, or values that are not numbers")
    if pictures.min() < 0.0 or pictures.max() > 255.0:
        # Grey levels never leave this range; DCT coefficients do, by their sign and by the large first one.
        from scipy.fft import idctn

        pictures = idctn(pictures, axes=(1, 2), norm="ortho")
    elif pictures.max() <= 1.0:
        pictures = pictures * 255.0
    return np.ascontiguousarray(pictures.round().clip(0, 255), dtype=np.uint8)
