from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from minvae_pyro.audio.files import read_sound
from minvae_pyro.errors import UserError
from minvae_pyro.media.film import SoundTrack, check_film, film_rate, write_film

Make = Callable[..., Path]
CLICKS = (0.6, 1.4)


def sound_of(path: Path, **tracks: Any) -> tuple[SoundTrack, Any]:
    """What is read of a film, as a sound for another one, and its clock."""
    sound = read_sound(path, tracks.get("sound_track"))
    sound_at = sound.resample(film_rate("a.mp4", sound.sample_rate))
    return SoundTrack(sound_at.waveform.numpy(), sound_at.sample_rate, "enhanced"), sound.clock


def as_played(path: Path, audio: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of clicks and of flashes as FFmpeg gives them to a player, by the stamps of decoded frames alone."""
    with av.open(str(path)) as film:
        loud: list[float] = []
        for frame in film.decode(audio=audio):
            wave = np.abs(np.asarray(frame.to_ndarray(), np.float64)).reshape(len(frame.to_ndarray()), -1)
            full = {"s16": 2**15, "s16p": 2**15, "s32": 2**31, "s32p": 2**31}.get(frame.format.name, 1)
            step = 1 if frame.format.is_planar else len(frame.layout.channels)
            where = np.flatnonzero(wave[0, ::step] / full > 0.25)
            loud += (frame.time + where / frame.sample_rate).tolist()
        clicks = np.array(loud)[np.diff(loud, prepend=-1.0) > 0.25]
    with av.open(str(path)) as film:
        frames = [(frame.time, frame.to_ndarray(format="gray").mean() > 125) for frame in film.decode(video=0)]
    times, lit = np.array([time for time, _ in frames]), np.array([bright for _, bright in frames], dtype=int)
    return clicks, times[np.flatnonzero(np.diff(lit, prepend=0) == 1)]


def pictures(path: Path) -> list[bytes]:
    with av.open(str(path)) as film:
        return [bytes(packet) for packet in film.demux(video=0) if packet.size]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    ("source", "options"),
    [
        (".mp4", {}),
        (".mkv", {}),
        (".mov", {"channels": "stereo"}),
        (".avi", {}),
        (".ts", {}),
        (".mkv", {"sound_stamp": lambda time: time + 0.5, "shift": 0.5}),
        (".mp4", {"sound_stamp": lambda time: time + 0.5, "shift": 0.5}),
        (".mp4", {"picture_stamp": lambda time: time + 0.3, "shift": -0.3}),
        (".mp4", {"picture_stamp": lambda time: time - 0.4, "shift": 0.4}),  # an edit list hides the first ten pictures
        (".mkv", {"sound_stamp": lambda time: 0.97 * time, "shift": None}),
        (".ts", {"stamp": lambda time: time + 36000.0 * (time > 1)}),
    ],
)
def test_sound_and_pictures_stay_together(
    tmp_path: Path, make_film: Make, source: str, options: dict[str, Any], suffix: str
) -> None:
    options = dict(options)
    shift = options.pop("shift", 0.0)
    if stamp := options.pop("stamp", None):
        options |= {"sound_stamp": stamp, "picture_stamp": stamp}
    given = make_film(tmp_path / f"given{source}", clicks=CLICKS, **options)
    sound, clock = sound_of(given)
    write_film(tmp_path / f"film{suffix}", given, sound, retime=None if clock is None else clock.to_sound)
    clicks, flashes = as_played(tmp_path / f"film{suffix}")
    assert len(clicks) == len(flashes) == 2
    expected = np.array(CLICKS) * 0.03 if shift is None else shift
    np.testing.assert_allclose(
        clicks - flashes, 0 if shift is None else expected, atol=0.045 if shift is None else 0.012
    )
    assert pictures(tmp_path / f"film{suffix}") == pictures(given)
