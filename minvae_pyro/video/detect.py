"""Faces and lips in a single picture, by the Haar cascades that come with OpenCV."""

from __future__ import annotations

import cv2
import cv2.data
import numpy as np
from numpy.typing import NDArray

# More than this many pixels of picture only cost time: the cascade needs 24 pixels of face.
_SEARCH_SIDE = 480
_LEAST = 24  # pixels, the side of the smallest face that the cascade sees
_SMALLEST_FACE = 1 / 10  # of the picture's longer side
_DARK = 50  # mean grey level of a picture that is looked at once more, brightened

# All below in units of the side of the face box. Measured against facial landmarks on 31 clips of 9 talkers:
# the middle of the lips lies at USUAL_LIPS from the centre of the face box, spread by 0.013 across and 0.021
# down. The smile cascade, which fires on most mouths, halves that; its height is regressed to the mean.
USUAL_LIPS = np.array([0.012, 0.331])
_SMILE = np.array([0.019, 0.337])
_TRUST = np.array([1.0, 0.6])
_FACE_PIXELS = 160  # side of the face box when lips are looked for
_LEFT, _TOP, _WIDTH, _HEIGHT = -0.35, 0.08, 0.7, 0.5  # where


class FaceDetector:
    """Faces, and the lips of each. Heads must face the camera, and be tilted by some 15 degrees at most."""

    def __init__(self) -> None:
        self._faces = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
        self._smiles = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_smile.xml")

    def __call__(self, picture: NDArray[np.uint8], smallest: float = 0.0) -> NDArray[np.float64]:
        """Find faces in a (height, width) uint8 picture.

        Those whose side is less than ``smallest`` pixels are passed over; small ones cost most time.

        Returns:
            (faces, 5), the largest face first: centre x, centre y and side of a square face box in pixels, then the
            offset x, y from there to the lips in units of the side (NaN: lips not recognised).
        """
        longest = max(picture.shape)
        shrink = min(1.0, _SEARCH_SIDE / longest)
        if shrink * min(picture.shape) < _LEAST:
            return np.empty((0, 5))
        small = picture
        if shrink < 1.0:
            small = np.asarray(cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA))
        least = max(_LEAST, round(shrink * max(smallest, _SMALLEST_FACE * longest)))
        found = self._faces.detectMultiScale(small, 1.1, 5, minSize=(least, least))
        mean = float(small.mean())
        if len(found) == 0 and 1.0 < mean < _DARK:
            # Second, because a lit face before a dark wall would be blown out.
            bright = cv2.convertScaleAbs(small, alpha=2 * _DARK / mean)
            found = self._faces.detectMultiScale(bright, 1.1, 5, minSize=(least, least))
        corners = np.array(found, dtype=np.float64).reshape(-1, 4) / shrink
        boxes = np.column_stack([corners[:, :2] + corners[:, 2:] / 2, corners[:, 2]])
        boxes = boxes[np.argsort(-boxes[:, 2])]
        lips = np.array([self._find_lips(picture, box) for box in boxes]).reshape(-1, 2)
        return np.concatenate([boxes, lips], axis=1)

    def _find_lips(self, picture: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y, side = box
        scale = _FACE_PIXELS / side
        look = np.array([[scale, 0.0, -scale * (x + _LEFT * side)], [0.0, scale, -scale * (y + _TOP * side)]])
        size = round(_WIDTH * _FACE_PIXELS), round(_HEIGHT * _FACE_PIXELS)
        lower = cv2.warpAffine(picture, look, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        found, _, weights = self._smiles.detectMultiScale3(
            lower, 1.05, 6, minSize=(36, 18), maxSize=(90, 45), outputRejectLevels=True
        )
        if len(found) == 0:
            return np.full(2, np.nan)
        left, top, width, height = found[int(np.argmax(weights))]
        smile = np.array([left + width / 2, top + height / 2]) / _FACE_PIXELS + np.array([_LEFT, _TOP])
        return USUAL_LIPS + _TRUST * (smile - _SMILE)
