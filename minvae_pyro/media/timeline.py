"""One time line for sound and pictures, from clocks that leap.

Files that were joined, cut or written by a device whose clock was set have time stamps that leap. Where sound and
pictures leap together it is their common clock that did: the leap is closed, for both by the same amount, so that the
sound runs on without a gap. Where one of them leaps alone while the other one runs on, something is missing, and time
has passed. A leap of one track that nothing bears out is an error of its stamps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SLACK = 0.1  # seconds; stamps are rounded, and packets come in bursts
_RECENT = 64  # packets, of sound a second or two, among which bursts even out
_NEAR = 3.0  # seconds of a track, within which tracks are interleaved
_BORNE_OUT = 2.0  # seconds between two pictures that leave no doubt that time has passed
_PAUSE = 10.0  # seconds of a gap that are believed without that


@dataclass(frozen=True)
class Stamps:
    """Time stamps of the packets of a track, in the order of the file.

    Attributes:
        times: (K,) float64 seconds, increasing as long as the clock does not leap; NaN where a packet has none.
        lasts: (K,) float64 seconds; 0 where unknown.
        order: (K,) int64, places among all packets of the file.
    """

    times: NDArray[np.float64]
    lasts: NDArray[np.float64]
    order: NDArray[np.int64]

    @property
    def period(self) -> float:
        """Usual seconds from one packet to the next."""
        steps = np.diff(self.times)
        steps = steps[(steps > 0) & (steps < _BORNE_OUT)]
        return float(np.median(steps)) if len(steps) else 0.04


@dataclass(frozen=True)
class TimeLine:
    """What to take from the time stamps of packets, so that they run on.

    Attributes:
        sound: (K,) seconds too late of each packet of the sound.
        video: (L,) the same of the video.
        joints: (J, 2) first packet of the sound, and of the video, after each leap of the common clock.
    """

    sound: NDArray[np.float64]
    video: NDArray[np.float64]
    joints: NDArray[np.int64]


@dataclass(frozen=True)
class _Leap:
    packet: int
    before: float  # when the packet was due
    after: float  # when it says to be

    @property
    def seconds(self) -> float:
        return self.after - self.before

    def is_of_one_clock_with(self, other: _Leap) -> bool:
        """Whether two leaps that are near in the file are the same."""
        if self.seconds < 0 or other.seconds < 0:  # time never goes back, so both clocks are wrong
            return self.seconds < 0 and other.seconds < 0
        shared = min(self.after, other.after) - max(self.before, other.before)
        return shared > 0.5 * (max(self.after, other.after) - min(self.before, other.before))


def close_leaps(sound: Stamps, video: Stamps, zero: float) -> TimeLine:
    """Find the leaps of two tracks, either of which may be empty, and what closes them; ``zero`` is when both begin."""
    late = {"sound": np.zeros(len(sound.times)), "video": np.zeros(len(video.times))}
    leaps = {"sound": _leaps(sound, _RECENT, zero), "video": _leaps(video, 1, zero)}
    joints = _shared(sound, video, leaps["sound"], leaps["video"])
    for heard, seen in joints:
        late["sound"][heard.packet :] += heard.seconds
        late["video"][seen.packet :] += heard.seconds
    alone = {
        "sound": [leap for leap in leaps["sound"] if leap not in [heard for heard, _ in joints]],
        "video": [leap for leap in leaps["video"] if leap not in [seen for _, seen in joints]],
    }
    allowance = _PAUSE + float(sound.lasts.sum())  # of silence that nothing bears out
    for leap in alone["sound"]:
        shift = late["sound"][leap.packet]
        hole = _longest_hole(video.times - late["video"], leap.before - shift, leap.after - shift)
        if leap.seconds > 0 and (hole < _BORNE_OUT or leap.seconds < min(_PAUSE, allowance)):
            allowance -= leap.seconds if hole >= _BORNE_OUT else 0.0
        else:
            late["sound"][leap.packet :] += leap.seconds
    for leap in alone["video"]:
        shift = late["video"][leap.packet]
        hole = _longest_hole(sound.times - late["sound"], leap.before - shift, leap.after - shift)
        if leap.seconds < 0 or (hole >= _BORNE_OUT and leap.seconds > _PAUSE):
            late["video"][leap.packet :] += leap.seconds
    table = np.array([(heard.packet, seen.packet) for heard, seen in joints], dtype=np.int64).reshape(-1, 2)
    return TimeLine(late["sound"], late["video"], table)


def _leaps(stamps: Stamps, recent: int, zero: float) -> list[_Leap]:
    known = np.flatnonzero(np.isfinite(stamps.times))
    if len(known) == 0:
        return []
    times, lasts = stamps.times[known], stamps.lasts[known]
    period = stamps.period
    lasts = np.where((lasts > 0) & (lasts < _BORNE_OUT), lasts, period)
    # ahead of what the packets before add up to, by more than any of the last ones was
    ahead = times - times[0] - np.concatenate([[0.0], np.cumsum(lasts)[:-1]])
    window = min(recent, max(1, round(1 / period)))
    padded = np.concatenate([np.full(window, -np.inf), ahead[:-1]])
    most = np.lib.stride_tricks.sliding_window_view(padded, window).max(axis=1)
    step = ahead - most
    step[0] = times[0] - zero
    back = np.concatenate([[0.0], np.diff(times)])
    found = []
    for row in np.flatnonzero((step > _SLACK) | (back < -_SLACK)).tolist():
        due = times[row] - step[row] if back[row] >= -_SLACK else times[row - 1] + lasts[row - 1]
        found.append(_Leap(int(known[row]), float(due), float(times[row])))
    return found


def _shared(sound: Stamps, video: Stamps, heard: list[_Leap], seen: list[_Leap]) -> list[tuple[_Leap, _Leap]]:
    """Leaps of the clock that both tracks follow, in their order."""
    pairs: list[tuple[_Leap, _Leap]] = []
    left = [leap for leap in seen if leap.packet > 0]
    for leap in heard:
        if leap.packet == 0:
            continue
        place = int(np.searchsorted(video.order, sound.order[leap.packet]))
        for other in left:
            if abs(other.packet - place) * video.period < _NEAR and leap.is_of_one_clock_with(other):
                pairs.append((leap, other))
                left = left[left.index(other) + 1 :]
                break
    return pairs


def _longest_hole(times: NDArray[np.float64], start: float, stop: float) -> float:
    """Longest stretch between two times without a packet."""
    within = np.sort(times[(times > start) & (times < stop)])  # NaN compares false
    return float(np.diff(np.concatenate([[start], within, [stop]])).max()) if stop > start else 0.0


def local_period(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean seconds from picture to picture within a second around each of (T,) increasing times; 0 of a lonely one."""
    first = np.searchsorted(times, times - 1.0 - 1e-9)
    last = np.searchsorted(times, times + 1.0 + 1e-9, side="right") - 1
    return np.asarray((times[last] - times[first]) / np.maximum(last - first, 1))
