from collections.abc import Callable
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


def with_subtitles(path: Path, given: Path) -> Path:
    """The film with a line of text from 0.5 s to 1 s, a title and a language, turned by a quarter."""
    text = path.with_suffix(".srt")
    text.write_text("1\n00:00:00,500 --> 00:00:01,000\nhello there\n")
    with av.open(str(given)) as source, av.open(str(text)) as lines, av.open(str(path), "w") as film:
        film.metadata["title"] = "Talk"
        streams: dict[Any, Any] = {stream: film.add_stream_from_template(stream) for stream in source.streams}
        streams[source.streams.audio[0]].metadata["language"] = "deu"
        streams[source.streams.video[0]].set_display_rotation(90)
        streams[lines.streams[0]] = film.add_stream_from_template(lines.streams[0])
        for packet in [*lines.demux(), *source.demux()]:
            if packet.size:
                packet.stream = streams[packet.stream]
                film.mux(packet)
    return path


def test_what_else_is_in_the_film_goes_along(tmp_path: Path, make_film: Make) -> None:
    given = with_subtitles(tmp_path / "given.mkv", make_film(tmp_path / "plain.mkv", clicks=CLICKS))
    sound, _ = sound_of(given)
    assert write_film(tmp_path / "film.mkv", given, sound) == ()
    with av.open(str(tmp_path / "film.mkv")) as film:
        assert next(film.decode(video=0)).rotation == 90
        assert film.metadata["title"] == "Talk"
        assert film.streams.audio[0].metadata["language"] == "deu"
        film.seek(0)
        lines = [(float(one.pts * one.time_base), bytes(one)) for one in film.demux(subtitles=0) if one.size]
        assert lines == [(0.5, b"hello there")]
    (left_out,) = write_film(tmp_path / "film.mp4", given, sound)
    assert left_out == "subtitles (subrip) cannot be in such a film and are left out"
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert next(film.decode(video=0)).rotation == 90
        assert not film.streams.subtitles


@pytest.mark.parametrize(
    ("source", "suffix", "copied"),
    [(".mp4", ".mov", True), (".mkv", ".mkv", True), (".mp4", ".mkv", True), (".avi", ".mp4", False)],
)
def test_the_original_sound_is_the_second_track(
    tmp_path: Path, make_film: Make, source: str, suffix: str, copied: bool
) -> None:
    shift = {"sound_stamp": lambda time: time + 0.25} if source != ".avi" else {}
    given = make_film(tmp_path / f"given{source}", clicks=CLICKS, **shift)
    original, _ = sound_of(given)
    half = SoundTrack(0.6 * original.samples, original.rate, "enhanced")
    film = tmp_path / f"film{suffix}"
    write_film(film, given, half, original=SoundTrack(original.samples, original.rate, "original"), copy_original=True)
    with av.open(str(film)) as opened:
        first, second = opened.streams.audio
        assert first.disposition & Disposition.default
        assert not second.disposition & Disposition.default
        sounds = [bytes(packet) for packet in opened.demux(second) if packet.size]
    with av.open(str(given)) as opened:
        before = [bytes(packet) for packet in opened.demux(audio=0) if packet.size]
    assert (sounds == before) is copied
    for track in (0, 1):
        clicks, flashes = as_played(film, track)
        np.testing.assert_allclose(clicks - flashes, 0.25 if shift else 0, atol=0.012)
    assert read_sound(film, 1).waveform.abs().max() < 0.8 * read_sound(film, 2).waveform.abs().max()


def test_any_number_of_channels_and_any_rate(tmp_path: Path, make_film: Make) -> None:
    given = make_film(tmp_path / "given.mp4", clicks=CLICKS)
    for channels in range(1, 9):
        for suffix, rate in ((".mp4", 96000), (".mkv", 192000), (".mov", 8000)):
            noise = 0.1 * np.random.default_rng(0).standard_normal((channels, rate // 4)).astype(np.float32)
            write_film(tmp_path / f"a{suffix}", given, SoundTrack(noise, rate, ""), overwrite=True)
            read = read_sound(tmp_path / f"a{suffix}", 1)
            assert (read.waveform.shape[0], read.sample_rate) == (channels, rate)
            assert read.seconds == pytest.approx(0.25, abs=0.15)  # a coder fills its last block
            if suffix == ".mkv":
                np.testing.assert_allclose(read.waveform.numpy(), noise, atol=2**-23)
    with pytest.raises(UserError, match="up to 8 channels"):
        write_film(tmp_path / "b.mp4", given, SoundTrack(np.zeros((9, 900), np.float32), 8000, ""))
    assert not (tmp_path / "b.mp4").exists()
    assert film_rate("a.mp4", 44000) == 44100
    assert film_rate("a.mov", 192000) == 48000
    assert film_rate("a.mkv", 192000) == 192000


def test_pictures_that_cannot_go_into_a_film(tmp_path: Path, make_film: Make) -> None:
    web = make_film(tmp_path / "given.webm", clicks=CLICKS)
    sound, _ = sound_of(web)
    with pytest.raises(UserError, match=r"\(vp8\) cannot be copied into \.mp4: write \.mkv"):
        check_film("film.mp4", web)
    assert write_film(tmp_path / "film.mkv", web, sound) == ()
    assert pictures(tmp_path / "film.mkv") == pictures(web)
    with pytest.raises(UserError, match=r"film\.mkv exists"):
        write_film(tmp_path / "film.mkv", web, sound)
    mute = make_film(tmp_path / "sound.mkv", tracks="a")
    with pytest.raises(UserError, match=r"has no video track: write \.wav or \.flac"):
        check_film("film.mp4", mute)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mkv", "given.webm", "sound.mkv"]
