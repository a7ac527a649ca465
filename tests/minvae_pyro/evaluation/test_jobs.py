"""Files with several tracks, and mouths by the clock of the sound that they are seen with."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation import videos
from minvae_pyro.evaluation.jobs import mouth_of
from minvae_pyro.evaluation.mixtures import Mixture
from minvae_pyro.evaluation.systems import System
from minvae_pyro.video.mouth import read_mouth

RIGHT = System("right", "min-vae")
Film = Callable[..., Path]


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    write_sound(tmp_path / "noise.wav", Sound(0.1 * torch.randn(1, 32000), 16000))
    return tmp_path / "noise.wav"


def mixture(clip: Path, noise: Path, **more: object) -> Mixture:
    return Mixture("a", clip, noise, 0, 0.0, **more)  # type: ignore[arg-type]


def clicks(sound: torch.Tensor) -> list[float]:
    """Seconds before each click."""
    loud = (sound.abs() > 0.6 * sound.abs().max()).nonzero().squeeze(1) / 16000
    return loud[loud.diff(prepend=torch.tensor([-1.0])) > 0.25].tolist()


def test_tracks_are_chosen_and_their_number_is_said(tmp_path: Path, make_film: Film, noise: Path) -> None:
    clip = make_film(tmp_path / "clip.mkv", tracks="vaas", clicks=(0.4,), default="yyyn")
    notes: list[str] = []
    usual = mixture(clip, noise)
    assert clicks(usual.build(notes)[1]) == pytest.approx([0.4], abs=0.01)
    assert notes == ["clip.mkv: of 3 sound tracks number 1 was used: the column audio_track chooses another"]
    notes.clear()
    chosen = mixture(clip, noise, audio_track=2)
    assert torch.equal(chosen.build(notes)[1], usual.build()[1])
    assert notes == []
    with pytest.raises(UserError, match="clean sound or noise is all zeros"):
        mixture(clip, noise, audio_track=3).build()
    with pytest.raises(UserError, match="3 sound tracks, counted from 1: there is no number 4"):
        mixture(clip, noise, audio_track=4).build()


def test_a_recorded_mixture_and_its_clean_sound_may_be_tracks_of_one_file(tmp_path: Path, make_film: Film) -> None:
    both = make_film(tmp_path / "both.mkv", tracks="vsa", clicks=(0.4,))
    recorded = mixture(both, Path("cafe"), noisy=both, audio_track=2, noisy_track=1)
    noisy, clean = recorded.build()
    assert clicks(clean) == pytest.approx([0.4], abs=0.01)
    assert noisy.abs().max() < 0.01


def test_a_video_track_is_chosen_and_their_number_is_said(
    tmp_path: Path, make_film: Film, noise: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "read_mouth", functools.partial(read_mouth, cropped=True))
    clip = make_film(tmp_path / "clip.mkv", tracks="vba", default="yyy")
    (tmp_path / "mouths").mkdir()
    notes: list[str] = []
    usual = mouth_of(RIGHT, mixture(clip, noise), tmp_path, notes)
    assert notes == ["clip.mkv: of 2 video tracks number 1 was used: the column video_track chooses another"]
    notes.clear()
    first, black = (mouth_of(RIGHT, mixture(clip, noise, video_track=n), tmp_path, notes) for n in (1, 2))
    assert notes == []
    assert usual is not None
    assert first is not None
    assert black is not None
    assert torch.equal(first.crops, usual.crops)
    assert usual.crops.max() > 200 > 60 > black.crops.max()
    with pytest.raises(UserError, match="2 video tracks, counted from 1: there is no number 3"):
        mouth_of(RIGHT, mixture(clip, noise, video_track=3), tmp_path, notes)


def test_whose_clock_a_mouth_follows(tmp_path: Path, make_film: Film, noise: Path) -> None:
    """That of the sound that is enhanced; of a clip's own video that of the clip."""
    (tmp_path / "mouths").mkdir()
    drifting = make_film(tmp_path / "drifting.mkv", seconds=12.0, sound_stamp=lambda time: time * 0.97)
    steady = make_film(tmp_path / "steady.mkv", seconds=12.0)
    followed, counted = 10.0 / 0.97, 10.0
    for given, expected in (
        (mixture(drifting, noise), followed),
        (mixture(steady, noise), counted),
        (mixture(steady, noise, video=drifting), counted),
        (mixture(drifting, noise, video=steady), followed),
        (mixture(drifting, noise, video=drifting), followed),
        (mixture(drifting, noise, noisy=steady), followed),
        (mixture(steady, noise, noisy=drifting, video=drifting), followed),
        (mixture(drifting, noise, noisy=steady, video=drifting), counted),
    ):
        mouth = mouth_of(RIGHT, given, tmp_path, [])
        assert mouth is not None
        assert float(mouth.times[250]) == pytest.approx(expected, abs=0.02)
