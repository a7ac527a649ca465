from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, strategies as st

from minvae_pyro.enhancement.recording import read_recording
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation import videos
from minvae_pyro.evaluation.videos import Absent, Covered, Frozen, Late, Other, Right, make_video, read_once
from minvae_pyro.utterances import Utterances
from minvae_pyro.video.align import align_mouth
from minvae_pyro.video.occlusion import frozen
from minvae_pyro.video.track import MouthTrack


def film(frames: int, rate: float, first: int = 1) -> MouthTrack:
    """Pictures whose grey tells their number; every third is not found."""
    found = torch.arange(frames) % 3 != 1
    crops = torch.arange(first, first + frames, dtype=torch.uint8)[:, None, None].expand(-1, 67, 67)
    return MouthTrack(crops * found[:, None, None], torch.arange(frames, dtype=torch.float64) / rate, found)


def shown(video: videos.Show, track: MouthTrack) -> MouthTrack:
    made = video(Path("clip.mpg"), lambda clip: track)
    assert made is not None
    return made


@given(st.integers(1, 120), st.sampled_from([25.0, 30.0, 50.0]), st.floats(0, 3))
def test_a_frozen_picture_is_the_last_one_before(frames: int, rate: float, after: float) -> None:
    track = film(frames, rate)
    frozen = shown(Frozen(after), track)
    last = max(i for i in range(frames) if i / rate <= after)
    expected = [min(i, last) for i in range(frames)]
    assert frozen.crops[:, 0, 0].tolist() == [track.crops[i, 0, 0] for i in expected]
    assert frozen.found.tolist() == [i % 3 != 1 for i in expected]
    assert torch.equal(frozen.times, track.times)


def test_a_track_freezes_as_a_batch_does() -> None:
    track = film(12, 25.0)
    batch = Utterances.from_spectrum(torch.ones(12, 3), track.crops, track.found)
    expected = frozen(6)(batch)
    actual = shown(Frozen(6 / 25), track)
    assert torch.equal((expected.mouth[0] * 255).round().to(torch.uint8), actual.crops)
    assert torch.equal(expected.mouth_seen[0], actual.found)


def test_a_late_picture_is_seen_late() -> None:
    track = MouthTrack(film(50, 25.0).crops, film(50, 25.0).times, torch.ones(50, dtype=torch.bool))
    now = torch.arange(0.0, 1.9, 0.04, dtype=torch.float64)
    right, _ = align_mouth(track, now)
    crops, seen = align_mouth(shown(Late(400), track), now)
    # a picture is shown up to one and a half periods before its time
    assert seen.tolist() == [time > 0.4 - 0.0601 for time in now.tolist()]
    assert torch.equal(crops[10:], right[:-10])


def test_a_covered_mouth_is_grey_and_found() -> None:
    track = film(10, 25.0, first=101)
    covered = shown(Covered(), track)
    values = [101 + i for i in range(10) if i % 3 != 1]
    assert set(covered.crops[track.found].flatten().tolist()) == {round(sum(values) / len(values))}
    assert torch.equal(covered.found, track.found)
    assert not covered.crops[~track.found].any()
    nothing = MouthTrack(track.crops, track.times, torch.zeros(10, dtype=torch.bool))
    assert not shown(Covered(), nothing).crops.any()


@given(st.integers(2, 30))
def test_another_clip_is_never_the_same_and_serves_one_clip_only(tmp_path_factory: object, count: int) -> None:
    folder = tmp_path_factory.mktemp("talker")  # type: ignore[attr-defined]
    clips = [folder / f"{number:02}.mpg" for number in range(count)]
    for clip in clips:
        clip.touch()
    (folder / "notes.txt").touch()
    others = []
    for clip in clips:
        Other()(clip, others.append)  # type: ignore[arg-type]
    assert all(other != clip for other, clip in zip(others, clips, strict=True))
    assert sorted(others) == clips


def test_a_talker_with_one_clip_has_no_other(tmp_path: Path) -> None:
    clip = tmp_path / "only.mpg"
    clip.touch()
    with pytest.raises(UserError, match=r"no other clip than only\.mpg"):
        Other()(clip, lambda path: film(3, 25.0))


def test_right_and_absent() -> None:
    track = film(3, 25.0)
    assert shown(Right(), track) is track
    assert Absent()(Path("clip.mpg"), lambda path: track) is None


def tinted(clip: Path, read: videos.Read) -> MouthTrack | None:
    return None


def test_videos_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_video("right"), Right)
    assert make_video("frozen") == Frozen(1.0)
    assert make_video("late-40") == make_video({"class_path": "Late", "init_args": {"milliseconds": 40}}) == Late(40)
    assert make_video("minvae_pyro.evaluation.videos.Frozen") == Frozen()
    assert make_video({"class_path": "Frozen", "init_args": {"after": 0.5}}) == Frozen(0.5)
    monkeypatch.setattr(videos, "tinted", tinted, raising=False)
    assert make_video("minvae_pyro.evaluation.videos.tinted") is tinted
    assert make_video(tinted) is tinted


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ("left", "no video 'left'.*right, other, frozen"),
        ("late-soon", "no video 'late-soon'"),
        ("Late", "milliseconds"),
        ({"class_path": "Frozen", "init_args": {"after": "never"}}, "Frozen cannot be made.*Its arguments: after"),
        ("minvae_pyro.evaluation.scores.METRICS", "is no video"),
        ("nowhere.to.be.found", "no video 'nowhere"),
    ],
)
def test_a_wrong_video_is_one_clear_line(described: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_video(described)  # type: ignore[arg-type]


def test_a_mouth_is_read_once_and_again_when_the_clip_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, reads = tmp_path / "clip.mpg", []
    clip.write_text("first")
    monkeypatch.setattr(videos, "read_mouth", lambda path, **tracks: reads.append(tracks) or film(40, 25.0))
    monkeypatch.setattr(videos, "video_notes", lambda path, **tracks: ("odd",))
    for _ in range(2):
        notes: list[str] = []
        track = read_once(clip, tmp_path, notes=notes)
        assert notes == ["clip.mpg: odd"]
        assert torch.equal(track.crops, film(40, 25.0).crops)
        assert torch.equal(track.found, film(40, 25.0).found)
        assert torch.equal(track.times, film(40, 25.0).times)
    assert reads == [{"track": None, "sound_track": None}]
    read_once(clip, tmp_path, video_track=2, sound_track=1)
    assert reads[1:] == [{"track": 2, "sound_track": 1}]
    clip.write_text("second")
    read_once(clip, tmp_path)
    assert len(reads) == 3
    with pytest.raises(UserError, match=r"none\.mpg"):
        read_once(tmp_path / "none.mpg", tmp_path)


def test_a_damaged_mouth_is_read_again_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, reads = tmp_path / "clip.mpg", []
    clip.write_text("first")
    monkeypatch.setattr(videos, "read_mouth", lambda path, **tracks: reads.append(path) or film(40, 25.0))
    monkeypatch.setattr(videos, "video_notes", lambda path, **tracks: ())
    repaired: list[str] = []
    read_once(clip, tmp_path, repaired=repaired)
    (kept,) = tmp_path.glob("*.safetensors")
    whole = kept.read_bytes()
    assert repaired == []
    kept.write_bytes(whole[:-1])
    assert torch.equal(read_once(clip, tmp_path, repaired=repaired).crops, film(40, 25.0).crops)
    assert len(reads) == 2
    assert repaired == [f"{kept} was damaged, or of another version: the mouth is read again"]
    assert kept.read_bytes() == whole


@pytest.mark.parametrize("speed", [0.97, 1.02])
def test_a_mouth_follows_the_clock_of_its_sound(tmp_path: Path, make_film: Callable[..., Path], speed: float) -> None:
    """Pictures are shown by the clock; where it runs slow, more samples have been heard by then."""
    clip = make_film(tmp_path / "clip.mkv", seconds=12.0, sound_stamp=lambda time: time * speed)
    times = read_once(clip, tmp_path).times
    # a picture at t is shown when the samples of t / speed have been heard
    expected = torch.arange(0, 12.0 * min(speed, 1.0), 0.04, dtype=torch.float64) / speed
    torch.testing.assert_close(times[: len(expected)], expected, atol=0.02, rtol=0)
    recording = read_recording(clip)
    assert recording.mouth is not None
    assert torch.equal(times, recording.mouth.times)


def test_a_video_beside_its_sound_follows_the_clock_of_that(tmp_path: Path, make_film: Callable[..., Path]) -> None:
    clip = make_film(tmp_path / "clip.mkv", seconds=12.0, sound_stamp=lambda time: time * 0.97)
    video = make_film(tmp_path / "video.mkv", seconds=12.0, tracks="v")
    beside = read_once(video, tmp_path, heard=clip).times
    assert beside[-1] == pytest.approx(11.96 / 0.97, abs=0.35)  # the clock ends with the sound
    assert beside[250] == pytest.approx(10.0 / 0.97, abs=0.02)
    recording = read_recording(clip, video=video)
    assert recording.mouth is not None
    assert torch.equal(beside, recording.mouth.times)
    # alone it has no sound whose clock could be followed
    assert read_once(video, tmp_path).times[250] == pytest.approx(10.0)
