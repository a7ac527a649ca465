"""A small square cut out of a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minvae_pyro.video.track import MOUTH_SIDE


def cut_square(picture: NDArray[np.uint8], x: float, y: float, side: float) -> NDArray[np.uint8]:
    """Cut a square out of a (height, width) grey picture, to a fraction of a pixel, and scale it to (67, 67).

    ``side`` and its centre ``x, y``, inside the picture, are in pixels from the top left corner, where the first
    pixel's middle is at 0.5. What lies outside the picture repeats its rim.
    """
    import cv2  # a sound file is told from a video without

    height, width = picture.shape
    shrink = min(1.0, MOUTH_SIDE / side)
    # Averaging in the neighbourhood first: the subpixel cut below would skip pixels of a large picture.
    left, top = max(0, int(x - side)), max(0, int(y - side))
    near = picture[top : min(height, int(y + side) + 1), left : min(width, int(x + side) + 1)]
    size = (max(1, round(near.shape[1] * shrink)), max(1, round(near.shape[0] * shrink)))
    small = cv2.resize(near, size, interpolation=cv2.INTER_AREA)
    scale_x, scale_y = size[0] / near.shape[1], size[1] / near.shape[0]
    step = side / MOUTH_SIDE
    # Pixel i of the crop looks at x + (i + 1/2) * step - side / 2, counted from the picture's edge.
    look = np.array(
        [
            [step * scale_x, 0.0, (x - left - side / 2 + step / 2) * scale_x - 0.5],
            [0.0, step * scale_y, (y - top - side / 2 + step / 2) * scale_y - 0.5],
        ]
    )
    return np.asarray(
        cv2.warpAffine(
            small,
            look,
            (MOUTH_SIDE, MOUTH_SIDE),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        dtype=np.uint8,
    )
