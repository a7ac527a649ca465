"""Contact sheets: what the model sees, on one page."""

from __future__ import annotations

import os
import tempfile
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.video.mouth import MOUTH_SIDE, MouthTrack

_COLUMNS = 15
_GAP = 2  # pixels between tiles
_LABEL = 12  # pixels below each tile for its time


def contact_sheet(
    mouth: MouthTrack, path: str | PathLike[str], *, tiles: int = 90, overwrite: bool = False
) -> Path:
    """Save mouth crops as one PNG picture, in reading order, each with its time in seconds below.

    Frames without a mouth are crossed out.

    Args:
        mouth: the T crops, of a video or aligned to sound frames.
        path: the PNG file to write.
        tiles: show at most so many frames, evenly spaced.
        overwrite: replace a file that exists.

    Returns:
        The path written.

    Raises:
        UserError: the file exists already, or cannot be written.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists: allow overwriting or choose another name")
    frames = len(mouth.times)
    shown = torch.linspace(0, frames - 1, min(tiles, frames)).round().long() if frames else torch.zeros(0).long()
    _write(path, _draw(mouth.crops[shown], mouth.times[shown], mouth.found[shown]))
    return path


def _draw(crops: Tensor, times: Tensor, found: Tensor) -> np.ndarray:
    step_x, step_y = MOUTH_SIDE + _GAP, MOUTH_SIDE + _LABEL + _GAP
    rows = max(1, -(-len(crops) // _COLUMNS))
    page = np.full((rows * step_y + _GAP, _COLUMNS * step_x + _GAP), 255, dtype=np.uint8)
    for number, (crop, time, seen) in enumerate(zip(crops.numpy(), times.tolist(), found.tolist(), strict=True)):
        x, y = _GAP + number % _COLUMNS * step_x, _GAP + number // _COLUMNS * step_y
        page[y : y + MOUTH_SIDE, x : x + MOUTH_SIDE] = crop
        if not seen:
            for start, end in (((0, 0), (66, 66)), ((0, 66), (66, 0))):
                cv2.line(page, (x + start[0], y + start[1]), (x + end[0], y + end[1]), 128, 1, cv2.LINE_AA)
        cv2.putText(
            page, f"{time:.2f}", (x, y + MOUTH_SIDE + _LABEL - 2), cv2.FONT_HERSHEY_PLAIN, 0.8, 0, 1, cv2.LINE_AA
        )
    return page


def _write(path: Path, page: np.ndarray) -> None:
    try:
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): choose another folder") from error
    with os.fdopen(handle, "wb") as file:
        file.write(cv2.imencode(".png", page)[1].tobytes())
    os.replace(part, path)
