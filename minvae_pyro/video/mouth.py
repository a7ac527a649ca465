"""From a video file to a stable picture of the talker's mouth in every frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from minvae_pyro.errors import UserError
from minvae_pyro.files import reader
from minvae_pyro.media.survey import survey
from minvae_pyro.video.crop import cut_square
from minvae_pyro.video.frames import Frame, read_frames
from minvae_pyro.video.lips import LIPS_SUFFIXES, load_lips
from minvae_pyro.video.room import Room
from minvae_pyro.video.track import MOUTH_SIDE, MouthTrack

if TYPE_CHECKING:
    from minvae_pyro.video.faces import FaceTrack

_CROP_SIDE = 0.45  # of the side of the face box, in which lips at rest are 0.24 to 0.30 wide
# A video without any face whose picture is at most this large, and about square, shows a mouth only.
_CROPPED_SIDE = 160
_CROPPED_ASPECT = 1.2
_OFTEN = 1000  # pictures after which those before are left


@reader
def read_mouth(
    path: Path,
    *,
    cropped: bool | None = None,
    track: int | None = None,
    sound_track: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MouthTrack:
    """Read the talker's mouth, a row per frame, from a video or a file of lips that `load_lips` reads.

    The file is decoded twice, once to follow the face (`follow_face` says whose it is) and once to cut the crops, so
    that only crops are ever held: 4.5 kB a frame. Crops are centred on the lips and scaled with the face: lips at rest
    fill some 60% of the width.

    If ``cropped``, the picture shows nothing but the mouth: all of it is fitted into the 67 x 67 pixels, the rim
    repeated to make it square. By default this is assumed of a small, about square picture (at most 160 pixels) in
    which no face is ever found. A video without a face is no error: its `found` is False throughout.

    Of several video tracks the one with the number ``track`` is watched, and timed with the sound track of the number
    ``sound_track``, both as in :func:`minvae_pyro.video.frames.read_frames`. ``progress`` is told how many pictures
    were looked at, of how many, those that are cut counted once more (0: nobody knows).

    Raises:
        UserError: the file is missing, is no video, or holds no picture that can be decoded.
    """
    if path.suffix.lower() in LIPS_SUFFIXES:
        return load_lips(path)
    shape = next(read_frames(path, track=track, sound_track=sound_track)).picture.shape
    count = 2 * len(survey(path, sound_track, track).shown)
    seen = itertools.count(1)

    def read() -> Iterator[Frame]:
        for frame in read_frames(path, track=track, sound_track=sound_track):
            if progress is not None:
                progress(min(next(seen), count), count)
            yield frame

    # after the file has proved to be a video: OpenCV and SciPy take 0.3 s to load
    from minvae_pyro.video.faces import follow_face

    if not cropped:
        face = follow_face(read())
        small = max(shape) <= min(_CROPPED_SIDE, _CROPPED_ASPECT * min(shape))
        if cropped is not None or face.found.any() or not small:
            return _cut_all(read(), face)
    return _whole_picture(read())


def video_notes(path: Path, *, track: int | None = None, sound_track: int | None = None) -> tuple[str, ...]:
    """Plain sentences on what :func:`read_mouth` has found in a file that it can read; a file of lips has none.

    Raises:
        UserError: it is a file of lips, and a track of it is asked for.
    """
    if path.suffix.lower() not in LIPS_SUFFIXES:
        return survey(path, sound_track, track).video_notes
    if track is not None:
        raise UserError(f"{path} has no tracks to choose from: leave video_track out.")
    return ()


def _whole_picture(frames: Iterator[Frame]) -> MouthTrack:
    times, crops = [], []
    for frame in frames:
        height, width = frame.picture.shape
        times.append(frame.time)
        crops.append(cut_square(frame.picture, width / 2, height / 2, max(height, width)))
    return MouthTrack(
        torch.from_numpy(np.stack(crops)),
        torch.tensor(times, dtype=torch.float64),
        torch.ones(len(times), dtype=torch.bool),
    )


def _cut_all(frames: Iterator[Frame], track: FaceTrack) -> MouthTrack:
    room = Room((len(track.times), MOUTH_SIDE, MOUTH_SIDE))
    # By time, not by count: a damaged file need not decode to the same frames twice.
    rows = {time: row for row, time in enumerate(track.times.tolist()) if track.found[row]}
    found = np.zeros(len(track.times), dtype=np.bool_)
    for frame in frames if rows else ():
        row = rows.get(frame.time)
        if row is None:
            continue
        (x, y), side = track.lips[row], track.boxes[row, 2]
        height, width = frame.picture.shape
        # The mouth of a face that leaves the picture can be beyond its rim.
        if 0 <= x < width and 0 <= y < height:
            room.pictures[row] = cut_square(frame.picture, x, y, _CROP_SIDE * side)
            found[row] = True
            if row % _OFTEN == 0:
                room.leave()
    room.leave()
    return MouthTrack(torch.from_numpy(room.pictures), torch.from_numpy(track.times), torch.from_numpy(found), room)
