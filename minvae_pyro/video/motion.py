"""How far a face moves from one frame to the next, to a fraction of a pixel."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# The face is scaled to this many pixels: fine enough for a tenth of a pixel of the mouth crop, and quick.
_SIDE = 96
_LINEAR, _RIM = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
_POINTS = 7  # along each side of the grid of points that are followed
_WINDOW = 15  # pixels around each point
_FARTHEST = 0.2  # of the face: no head moves faster from frame to frame; a cut to another picture does


def face_shift(before: NDArray[np.uint8], after: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Measure the shift (2,) of a face, in pixels, to the next (height, width) picture by pyramidal Lucas-Kanade flow.

    Points are spread over eyes and nose, the part of a face that does not move with speech; the median over them
    ignores blinks and background. ``box`` is the centre x, centre y and side of the face in pixels, at about that time.
    The shift is zero where nothing can be followed, as across a cut.
    """
    if before.shape != after.shape:
        return np.zeros(2)
    x, y, side = box
    scale = _SIDE / side
    # One and the same window of both pictures, with the face in the middle.
    window = np.array([[scale, 0.0, _SIDE / 2 - x * scale], [0.0, scale, _SIDE / 2 - y * scale]])
    one, other = (
        cv2.warpAffine(picture, window, (_SIDE, _SIDE), flags=_LINEAR, borderMode=_RIM) for picture in (before, after)
    )
    across, down = np.meshgrid(np.linspace(0.25, 0.75, _POINTS), np.linspace(0.25, 0.62, _POINTS))
    points = (_SIDE * np.stack([across.ravel(), down.ravel()], axis=1)).astype(np.float32)[:, None]
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        one, other, points, points.copy(), winSize=(_WINDOW, _WINDOW), maxLevel=2
    )
    followed = status.ravel() == 1
    if not followed.any():
        return np.zeros(2)
    shift = np.median((moved - points)[followed, 0], axis=0)
    if np.abs(shift).max() > _FARTHEST * _SIDE:
        return np.zeros(2)
    return np.asarray(shift / scale, dtype=np.float64)
