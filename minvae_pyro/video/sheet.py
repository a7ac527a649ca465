"""Contact sheets: the pictures that a model gets, on one page."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minvae_pyro.files import write_atomic
from minvae_pyro.video.track import MOUTH_SIDE, MouthTrack

_COLUMNS = 15
_GAP = 2  # pixels between tiles
_LABEL = 12  # pixels below each tile for its time


def contact_sheet(mouth: MouthTrack, path: str | PathLike[str], *, tiles: int = 90, overwrite: bool = False) -> Path:
    """Save T mouth crops as one PNG picture, in reading order, each with its time in seconds below.

    Frames without a mouth are crossed out; of more than ``tiles`` frames so many are shown, evenly spaced.

    Raises:
        UserError: the file exists already, or cannot be written.
    """
    frames = np.linspace(0, len(mouth.times) - 1, min(tiles, len(mouth.times))).round().astype(int)
    shown = mouth.select(torch.from_numpy(frames))
    page = _draw(shown.crops, shown.times, shown.found)
    return write_atomic(path, cv2.imencode(".png", page)[1].tobytes(), overwrite=overwrite)


def _draw(crops: Tensor, times: Tensor, found: Tensor) -> NDArray[np.uint8]:
    step = np.array([MOUTH_SIDE + _GAP, MOUTH_SIDE + _LABEL + _GAP])
    rows = max(1, -(-len(crops) // _COLUMNS))
    width, height = step * [_COLUMNS, rows] + _GAP
    page = np.full((height, width), 255, dtype=np.uint8)
    for tile in range(len(crops)):
        x, y = (step * [tile % _COLUMNS, tile // _COLUMNS] + _GAP).tolist()
        right, bottom = x + MOUTH_SIDE, y + MOUTH_SIDE
        page[y:bottom, x:right] = crops[tile].numpy()
        if not found[tile]:
            cv2.line(page, (x, y), (right - 1, bottom - 1), 128, 1, cv2.LINE_AA)
            cv2.line(page, (x, bottom - 1), (right - 1, y), 128, 1, cv2.LINE_AA)
        label = f"{times[tile].item():.2f}"
        cv2.putText(page, label, (x, bottom + _LABEL - 2), cv2.FONT_HERSHEY_PLAIN, 0.8, 0, 1, cv2.LINE_AA)
    return page
