"""Where the talker's face is in each frame of a video."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter

from minvae_pyro.video.detect import USUAL_LIPS, FaceDetector
from minvae_pyro.video.frames import Frame
from minvae_pyro.video.motion import face_shift

# A gap between two sightings is bridged up to here, so that no frame is further than 0.2 s from a sighting.
_LONGEST_GAP = 0.4  # seconds
_LOOK_AFTER = 0.2 + 1e-6  # seconds
_FORGET_AFTER = 1.0  # seconds after which a face that comes back starts a new track
_A_FRAME = 0.01  # seconds; time stamps are rounded
_SAME_FACE = 0.3  # intersection over union of two boxes
_CENTRE_WINDOW, _SIDE_WINDOW = 2.0, 3.0  # seconds of smoothing
_OTHER_SIZE = 1.6  # a face of another size than the talker's by this factor is somebody else, or no face
_STILL = np.array([0.0, 0.0, np.nan, np.nan, np.nan])  # no motion, of no face


@dataclass(frozen=True)
class FaceTrack:
    """The talker's face over time.

    Attributes:
        times: (T,) float64 seconds, one per frame of the video.
        boxes: (T, 3) float64: centre x, centre y and side of a square face box in pixels, NaN if not found.
        lips: (T, 2) float64: the middle of the lips, x and y in pixels, NaN if not found.
        found: (T,) bool.
    """

    times: NDArray[np.float64]
    boxes: NDArray[np.float64]
    lips: NDArray[np.float64]
    found: NDArray[np.bool_]


@dataclass(frozen=True)
class _Looks:
    """What one pass over the video found: times (T,) in seconds, and (faces, 5) rows of `FaceDetector` by frame.

    ``motion`` is (T, 5): pixels, x and y, by which the largest face moved since the frame before, and the box of that
    face, NaN where there was none.
    """

    times: NDArray[np.float64]
    faces: dict[int, NDArray[np.float64]]
    motion: NDArray[np.float64]


@dataclass
class _Sightings:
    """One face as it was detected in some of the frames."""

    frames: list[int] = field(default_factory=list)
    boxes: list[NDArray[np.float64]] = field(default_factory=list)


def follow_face(frames: Iterable[Frame], *, detect_every: int = 5) -> FaceTrack:
    """Follow the face of the talker through a video, with one row for each frame.

    Faces are detected on every `detect_every`-th frame, or after 0.2 s where frames are rare; where their number
    changes, on each frame between. Detections that overlap from one frame to the next are one face. Of several faces
    the talker is the one with the largest area summed over time, that is, the largest that stays; another face of
    similar size takes its place only while it is away (a cut to another camera position).

    Between sightings at most 0.4 s apart (or two looks, where those are further apart) the box is interpolated;
    elsewhere the face is not found. Position and size are smoothed over seconds, see `_fill`. The frames are read once,
    and no more than `detect_every` pictures are held at a time. Where there is no face, all rows are not found.
    """
    looks = _look(frames, detect_every)
    path = np.full((len(looks.times), 5), np.nan)
    tracks = sorted(_link(looks), key=lambda track: sum(box[2] ** 2 for box in track.boxes), reverse=True)
    enough = min(3, len(looks.faces))
    tracks = [track for track in tracks if len(track.frames) >= enough]
    for track in tracks:
        ratio = np.median(np.array(track.boxes)[:, 2]) / np.median(np.array(tracks[0].boxes)[:, 2])
        if 1 / _OTHER_SIZE < ratio < _OTHER_SIZE:
            path = np.where(np.isnan(path), _fill(track, looks), path)
    boxes, offsets = path[:, :3], path[:, 3:]
    return FaceTrack(looks.times, boxes, boxes[:, :2] + offsets * boxes[:, 2:], ~np.isnan(boxes[:, 0]))


def _look(frames: Iterable[Frame], detect_every: int) -> _Looks:
    detect = FaceDetector()
    times: list[float] = []
    faces: dict[int, NDArray[np.float64]] = {}
    motion: list[NDArray[np.float64]] = []
    recent: list[NDArray[np.uint8]] = []  # the last frame that was looked at, and those after it

    def look_at_recent() -> None:
        """Detect on the newest frame, and on those since the last detection where faces came or went."""
        last = len(times) - 1
        first = last - len(recent) + 1
        least = faces[first][0, 2] / _OTHER_SIZE if last and len(faces[first]) else 0.0
        faces[last] = detect(recent[-1], least)
        if last and len(faces[first]) != len(faces[last]):
            faces.update((first + i, detect(recent[i], least)) for i in range(1, len(recent) - 1))
        largest = next((boxes[0] for boxes in (faces[last], faces[first]) if len(boxes)), None)
        for before, after in itertools.pairwise(recent):
            motion.append(_STILL if largest is None else np.append(face_shift(before, after, largest[:3]), largest[:3]))
        del recent[:-1]

    for index, frame in enumerate(frames):
        times.append(frame.time)
        recent.append(frame.picture)
        if index == 0:
            motion.append(_STILL)
        if index % detect_every == 0 or frame.time - times[-len(recent)] > _LOOK_AFTER:
            look_at_recent()
    if len(recent) > 1:
        # Without a look at the last frame the track would end up to one interval early.
        look_at_recent()
    return _Looks(np.array(times), dict(sorted(faces.items())), np.array(motion))


def _link(looks: _Looks) -> list[_Sightings]:
    tracks: list[_Sightings] = []
    for index, faces in looks.faces.items():
        taken: set[int] = set()
        for face in faces:
            overlaps = [
                0.0
                if number in taken or looks.times[index] - looks.times[track.frames[-1]] > _FORGET_AFTER
                else _overlap(face, track.boxes[-1])
                for number, track in enumerate(tracks)
            ]
            number = int(np.argmax(overlaps)) if max(overlaps, default=0.0) > _SAME_FACE else len(tracks)
            if number == len(tracks):
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


def _fill(track: _Sightings, looks: _Looks) -> NDArray[np.float64]:
    """Interpolate and smooth one face to all frames: (T, 5) box and lip offset, NaN where the face was away.

    The cascade is unbiased but trembles by some pixels; optical flow is exact from frame to frame but drifts. So the
    difference between the two is smoothed, and the flow added back: no tremble, and no lag behind a head that moves.
    """
    times = looks.times
    at = np.array(track.frames)
    sightings = np.array(track.boxes)
    within = np.arange(at[0], at[-1] + 1)

    def spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([np.interp(times[within], times[at], column) for column in values.T], axis=1)

    path = spread(sightings[:, :3])
    own = np.array([_overlap(*pair) > _SAME_FACE for pair in zip(path, looks.motion[within, 2:], strict=True)])
    flow = np.cumsum(np.where(own[:, None], looks.motion[within, :2], 0.0), axis=0)
    drift = spread(sightings[:, :2] - flow[at - at[0]])
    with_lips = ~np.isnan(sightings[:, 3])
    # Constant over the track: the place is the talker's, and the cascade takes some chins for mouths.
    lips = np.median(sightings[with_lips, 3:], axis=0) if with_lips.sum() >= min(3, len(sightings)) else USUAL_LIPS
    centre = flow + _smooth(drift, times[within], _CENTRE_WINDOW)
    side = _smooth(path[:, 2:], times[within], _SIDE_WINDOW)
    path = np.concatenate([centre, side, np.broadcast_to(lips, (len(within), 2))], axis=1)
    # The sighting at or after each frame, and the one before it.
    after = np.searchsorted(at, within)
    before = np.where(at[after] == within, after, after - 1)
    gap = times[at[after]] - times[at[before]]
    looks_apart = np.diff(np.searchsorted(np.array(list(looks.faces)), [at[before], at[after]]), axis=0)[0]
    path[(gap > _LONGEST_GAP + _A_FRAME) & (looks_apart > 2)] = np.nan
    whole = np.full((len(times), 5), np.nan)
    whole[within] = path
    return whole


def _smooth(path: NDArray[np.float64], times: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """Smooth (T, C) at increasing times: a median against outliers, then a Gaussian against jitter."""
    # at even times, for frames may come at any
    even = np.linspace(times[0], times[-1], len(times))
    frames = seconds / max((times[-1] - times[0]) / max(len(times) - 1, 1), 1e-3)
    path = np.stack([np.interp(even, times, column) for column in path.T], axis=1)
    path = median_filter(path, size=(2 * round(frames / 2) + 1, 1), mode="nearest")
    path = gaussian_filter1d(path, sigma=max(frames / 4, 1.0), axis=0, mode="nearest")
    return np.stack([np.interp(times, even, column) for column in path.T], axis=1)
