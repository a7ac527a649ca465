from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import videos
from minvae_pyro import UserError
from minvae_pyro.video.track import MouthTrack


def film(frames: int, rate: float) -> MouthTrack:
    crops = torch.arange(frames, dtype=torch.uint8)[:, None, None].expand(-1, 67, 67)
    found = torch.arange(frames) % 3 != 1
    return MouthTrack(crops, torch.arange(frames, dtype=torch.float64) / rate, found)


@given(st.integers(1, 120), st.sampled_from([25.0, 30.0, 50.0]), st.floats(0, 3))
def test_a_frozen_picture_is_the_last_one_before(frames: int, rate: float, after: float) -> None:
    track = film(frames, rate)
    frozen = videos.freeze(track, after)
    last = max(i for i in range(frames) if i / rate <= after)
    expected = [min(i, last) for i in range(frames)]
    assert frozen.crops[:, 0, 0].tolist() == expected
    assert frozen.found.tolist() == [i % 3 != 1 for i in expected]
    assert torch.equal(frozen.times, track.times)


@given(st.integers(2, 30))
def test_another_clip_is_never_the_same_and_serves_one_clip_only(tmp_path_factory: object, count: int) -> None:
    folder = tmp_path_factory.mktemp("talker")  # type: ignore[attr-defined]
    clips = [folder / f"{number:02}.mpg" for number in range(count)]
    for clip in clips:
        clip.touch()
    (folder / "notes.txt").touch()
    others = [videos.other_clip(clip) for clip in clips]
    assert all(other != clip for other, clip in zip(others, clips, strict=True))
    assert sorted(others) == clips


def test_a_talker_with_one_clip_has_no_other(tmp_path: Path) -> None:
    clip = tmp_path / "only.mpg"
    clip.touch()
    with pytest.raises(UserError, match=r"no other clip than only\.mpg"):
        videos.other_clip(clip)


def test_a_mouth_is_read_once_and_again_when_the_clip_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, reads = tmp_path / "clip.mpg", []
    clip.write_text("first")
    monkeypatch.setattr(videos, "read_mouth", lambda path: reads.append(path) or film(40, 25.0))
    tracks = [videos.mouth_of(clip, "right", tmp_path) for _ in range(2)]
    assert len(reads) == 1
    for track in tracks:
        assert track is not None
        assert torch.equal(track.crops, film(40, 25.0).crops)
        assert torch.equal(track.found, film(40, 25.0).found)
    clip.write_text("second")
    videos.mouth_of(clip, "right", tmp_path)
    assert len(reads) == 2
    assert videos.mouth_of(clip, "absent", tmp_path) is None
