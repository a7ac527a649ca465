"""Where the talker's face is in each frame of a video."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter

from minvae_pyro.video.frames import Frame

# Haar cascades need 20 pixels or so of face; more than this many pixels of picture only cost time.
_SEARCH_SIDE = 480
_SMALLEST_FACE = 1 / 10  # of the picture's longer side
# A gap between two sightings is bridged up to here, so that no frame is further than 0.2 s from a sighting.
_LONGEST_GAP = 0.4  # seconds
_FORGET_AFTER = 1.0  # seconds after which a face that comes back starts a new track
_SAME_FACE = 0.3  # intersection over union of two boxes
_OTHER_SIZE = 1.6  # a face of another size than the talker's by this factor is somebody else, or no face


@dataclass(frozen=True)
class FaceTrack:
    """The talker's face over time.

    Attributes:
        times: (T,) float64 seconds, one per frame of the video.
        boxes: (T, 3) float64: centre x, centre y and side of a square face box in pixels; NaN where not found.
        found: (T,) bool.
    """

    times: NDArray[np.float64]
    boxes: NDArray[np.float64]
    found: NDArray[np.bool_]


@dataclass
class _Sightings:
    """One face as it was seen in some of the frames."""

    frames: list[int] = field(default_factory=list)
    boxes: list[NDArray[np.float64]] = field(default_factory=list)

    @property
    def weight(self) -> float:
        """Seen area summed over time: large and persistent faces win."""
        return float(sum(box[2] ** 2 for box in self.boxes))


class FaceDetector:
    """OpenCV's Haar cascade for frontal faces, run on a picture that is made small first."""

    def __init__(self) -> None:
        self._cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Find faces in a (height, width) grey picture.

        Returns:
            (faces, 3) centre x, centre y and side in pixels of the picture, the largest face first.
        """
        longest = max(picture.shape)
        shrink = min(1.0, _SEARCH_SIDE / longest)
        if shrink < 1.0:
            picture = np.asarray(cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA))
        smallest = max(24, round(_SMALLEST_FACE * longest * shrink))
        found = self._cascade.detectMultiScale(picture, 1.1, 5, minSize=(smallest, smallest))
        boxes = np.array(found, dtype=np.float64).reshape(-1, 4) / shrink
        faces = np.stack([boxes[:, 0] + boxes[:, 2] / 2, boxes[:, 1] + boxes[:, 3] / 2, boxes[:, 2]], axis=1)
        return faces[np.argsort(-faces[:, 2])]


def follow_face(frames: Iterable[Frame], *, detect_every: int = 5) -> FaceTrack:
    """Follow the face of the talker through a video.

    Faces are looked for on every `detect_every`-th frame; where their number changes, on each frame between.
    Sightings that overlap from one look to the next are one face. Of several faces the talker is the one with
    the largest area summed over the time that it is seen, that is, the largest that stays; another face of
    similar size takes its place only while it is away (a cut to another camera position).

    Between sightings at most 0.4 s apart (or two looks, where those are further apart) the box is interpolated;
    elsewhere the face counts as not found. Position is smoothed over about a second, size over about three.

    Args:
        frames: the video. It is read once, and no more than `detect_every` pictures are held at a time.
        detect_every: look for faces on every so many frames.

    Returns:
        The track, with one row for each frame; all rows not found when no face is ever seen.
    """
    times, looks = _look(frames, detect_every)
    boxes = np.full((len(times), 3), np.nan)
    tracks = sorted(_link(looks, times), key=lambda track: track.weight, reverse=True)
    enough = min(3, len(looks))
    tracks = [track for track in tracks if len(track.frames) >= enough]
    for track in tracks:
        ratio = np.median(np.array(track.boxes)[:, 2]) / np.median(np.array(tracks[0].boxes)[:, 2])
        if 1 / _OTHER_SIZE < ratio < _OTHER_SIZE:
            path = _fill(track, times, detect_every)
            boxes = np.where(np.isnan(boxes), path, boxes)
    return FaceTrack(times, boxes, ~np.isnan(boxes[:, 0]))


def _look(
    frames: Iterable[Frame], detect_every: int
) -> tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]:
    """Return the times of all frames, and the faces of those frames that were looked at."""
    detect = FaceDetector()
    times: list[float] = []
    looks: dict[int, NDArray[np.float64]] = {}
    waiting: list[tuple[int, NDArray[np.uint8]]] = []
    before = 0
    for index, frame in enumerate(frames):
        times.append(frame.time)
        if index % detect_every:
            waiting.append((index, frame.picture))
            continue
        looks[index] = detect(frame.picture)
        if len(looks[index]) != before and waiting:
            looks.update((other, detect(picture)) for other, picture in waiting)
        before = len(looks[index])
        waiting.clear()
    if waiting:
        # Without a look at the last frame the track would end up to one interval early.
        index, picture = waiting[-1]
        looks[index] = detect(picture)
    return np.array(times), dict(sorted(looks.items()))


def _link(looks: dict[int, NDArray[np.float64]], times: NDArray[np.float64]) -> list[_Sightings]:
    tracks: list[_Sightings] = []
    for index, faces in looks.items():
        taken: set[int] = set()
        for face in faces:
            overlaps = [
                0.0
                if number in taken or times[index] - times[track.frames[-1]] > _FORGET_AFTER
                else _overlap(face, track.boxes[-1])
                for number, track in enumerate(tracks)
            ]
            if max(overlaps, default=0.0) > _SAME_FACE:
                number = int(np.argmax(overlaps))
            else:
                number = len(tracks)
                tracks.append(_Sightings())
            taken.add(number)
            tracks[number].frames.append(index)
            tracks[number].boxes.append(face)
    return tracks


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Intersection over union of two square boxes."""
    low = np.maximum(one[:2] - one[2] / 2, other[:2] - other[2] / 2)
    high = np.minimum(one[:2] + one[2] / 2, other[:2] + other[2] / 2)
    shared = float(np.prod(np.maximum(high - low, 0.0)))
    return shared / float(one[2] ** 2 + other[2] ** 2 - shared)


def _fill(track: _Sightings, times: NDArray[np.float64], detect_every: int) -> NDArray[np.float64]:
    """Interpolate and smooth one face to all frames: (T, 3), NaN where the face was not there."""
    seen = np.array(track.frames)
    period = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    within = np.arange(seen[0], seen[-1] + 1)
    path = np.stack([np.interp(times[within], times[seen], column) for column in np.array(track.boxes).T], axis=1)
    path[:, :2] = _smooth(path[:, :2], 1.0 / period)
    path[:, 2:] = _smooth(path[:, 2:], 3.0 / period)
    # The sighting at or after each frame, and the one before it.
    after = np.searchsorted(seen, within)
    before = np.where(seen[after] == within, after, after - 1)
    gap = times[seen[after]] - times[seen[before]]
    path[gap > max(_LONGEST_GAP, 2 * detect_every * period) + period / 2] = np.nan
    boxes = np.full((len(times), 3), np.nan)
    boxes[within] = path
    return boxes


def _smooth(path: NDArray[np.float64], frames: float) -> NDArray[np.float64]:
    """Smooth (T, C) along time: a median against outliers, then a Gaussian against jitter."""
    path = median_filter(path, size=(2 * round(frames / 2) + 1, 1), mode="nearest")
    return np.asarray(gaussian_filter1d(path, sigma=max(frames / 4, 1.0), axis=0, mode="nearest"))
