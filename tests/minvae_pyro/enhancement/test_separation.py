import weakref
from types import SimpleNamespace
from typing import Any, Protocol

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch import Tensor

import minvae_pyro.enhancement.filter
import minvae_pyro.enhancement.separation
from minvae_pyro.audio.overlap_add import split
from minvae_pyro.audio.stft import STFT
from minvae_pyro.enhancement.separation import Separation, separate
from minvae_pyro.utterances import Utterances
from minvae_pyro.video.track import MouthTrack

HOP = 533


class Known(Protocol):
    gains: list[float]
    batches: list[Utterances]


def white(channels: int, samples: int, seed: int = 0) -> Tensor:
    return torch.randn(channels, samples, generator=torch.Generator().manual_seed(seed))


def run(channels: Tensor, mouth: MouthTrack | None = None, **options: Any) -> Separation:
    checkpoint: Any = SimpleNamespace(stft=STFT())
    options = {"engine": "svi", "start": None, "seed": 0, "progress": lambda done, total: None} | options
    return separate(checkpoint, channels, mouth, **options)


@pytest.fixture
def short_windows(monkeypatch: pytest.MonkeyPatch, known_inference: Known) -> Known:
    """Windows of about a second, one at a time, so that a few seconds are a long recording."""
    monkeypatch.setattr(minvae_pyro.enhancement.separation, "WINDOW_SECONDS", 1.0)
    monkeypatch.setattr(minvae_pyro.enhancement.separation, "_OVERLAP_SECONDS", 0.2)
    monkeypatch.setattr(minvae_pyro.enhancement.separation, "_BATCH", 1)
    return known_inference


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=st.integers(1, 60000), channels=st.integers(1, 2))
def test_a_gain_of_one_changes_nothing(short_windows: Known, samples: int, channels: int) -> None:
    recording = white(channels, samples) + 0.1
    separation = run(recording)
    torch.testing.assert_close(separation.speech, recording, rtol=0, atol=2e-5)
    assert separation.audio_responsibility is not None
    assert separation.audio_responsibility.shape == (STFT().frames(samples),)
    torch.testing.assert_close(separation.audio_responsibility, torch.zeros(STFT().frames(samples)))
    assert separation.objective == [-1.0, -0.5]


def test_windows_of_different_gain_are_faded_into_each_other(short_windows: Known) -> None:
    short_windows.gains = [0.2, 0.8, 0.5]
    hops = 80
    recording = white(1, hops * HOP)
    separation = run(recording)
    windows = split(hops, 30, 6)
    assert len(windows) == len(short_windows.batches) == 4
    # the oracle: piecewise linear between the windows' gains
    positions = torch.arange(hops * HOP, dtype=torch.float64) / HOP
    expected = torch.zeros_like(positions)
    for window, gain in enumerate([0.2, 0.8, 0.5, 0.5]):
        start, end = windows.starts[window], windows.starts[window] + windows.length
        inside = (positions >= start) & (positions < end)
        expected[inside] += gain * windows.weight(window, positions[inside])
    torch.testing.assert_close(separation.speech, recording * expected.float(), rtol=0, atol=2e-5)
    assert float(expected.diff().abs().max()) < 0.6 / (5 * HOP)
    assert separation.audio_responsibility is not None
    at_frames = torch.cat([expected[::HOP], expected[-1:]])
    torch.testing.assert_close(separation.audio_responsibility, 1 - at_frames.float(), rtol=0, atol=1e-3)


def test_windows_have_unit_level_and_their_own_mouths(short_windows: Known) -> None:
    samples = 40 * HOP
    recording = white(1, samples) * torch.linspace(0.001, 10, samples)
    crops = torch.arange(41, dtype=torch.uint8)[:, None, None].expand(41, 67, 67)
    mouth = MouthTrack(crops, torch.arange(41.0).double(), torch.arange(41) % 2 == 0)
    run(recording, mouth)
    windows = split(40, 30, 6)
    assert len(short_windows.batches) == 2
    for start, batch in zip(windows.starts, short_windows.batches, strict=True):
        piece = STFT().inverse(batch.spectrum[0], windows.length * HOP)
        assert float(piece.square().mean()) == pytest.approx(1, rel=1e-4)
        rows = torch.arange(start, start + windows.length + 1)
        torch.testing.assert_close(batch.mouth[0, :, 0, 0] * 255, rows.float())
        assert torch.equal(batch.mouth_seen[0], rows % 2 == 0)


def test_a_mouth_that_is_never_found_is_no_mouth(known_inference: Known) -> None:
    nothing = MouthTrack(
        torch.full((11, 67, 67), 9, dtype=torch.uint8), torch.arange(11.0).double(), torch.zeros(11).bool()
    )
    run(white(1, 10 * HOP), nothing)
    assert not known_inference.batches[0].mouth_seen.any()
    assert not known_inference.batches[0].mouth.any()


def test_silence_within_a_recording_is_not_inferred(short_windows: Known) -> None:
    short_windows.gains = [0.25]
    recording = white(1, 100 * HOP)
    recording[:, 10 * HOP : 80 * HOP] = 0
    separation = run(recording)
    assert len(short_windows.batches) < len(split(100, 30, 6))
    assert torch.isfinite(separation.speech).all()
    torch.testing.assert_close(separation.speech[:, : 9 * HOP], recording[:, : 9 * HOP] / 4, rtol=0, atol=2e-5)
    assert not separation.speech[:, 40 * HOP : 50 * HOP].any()
    assert separation.audio_responsibility is not None
    assert separation.audio_responsibility[45] == 0.5
    assert separation.audio_responsibility[0] == 0.75


def test_channels_that_cancel_are_enhanced_all_the_same(known_inference: Known) -> None:
    left = white(1, 20 * HOP)
    run(torch.cat([left, -left]))
    mono = STFT().inverse(known_inference.batches[0].spectrum[0], 20 * HOP)
    torch.testing.assert_close(mono, left[0] / left.square().mean().sqrt(), rtol=0, atol=1e-4)


def test_progress_counts_to_the_end(short_windows: Known) -> None:
    steps: list[tuple[int, int]] = []
    run(white(1, 60 * HOP), progress=lambda done, total: steps.append((done, total)))
    assert steps == [(step, 2 * len(short_windows.batches)) for step in range(1, len(steps) + 1)]
    assert steps[-1][0] == steps[-1][1]


def test_windows_that_stop_early_count_as_they_stood_at_their_end(
    short_windows: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: Any = minvae_pyro.enhancement.filter.infer  # type: ignore[attr-defined]
    lengths = iter([3, 1, 2])

    def stopping(*arguments: Any, callback: Any, **options: Any) -> Any:
        length = next(lengths)
        for iteration in range(1, length + 1):
            callback(iteration, 3, 0.0)
        found = known(*arguments, callback=lambda *steps: None, **options)
        found.objective = [float(10**n) for n in range(length)]
        return found

    monkeypatch.setattr(minvae_pyro.enhancement.filter, "infer", stopping)
    steps: list[tuple[int, int]] = []
    separation = run(white(1, 72 * HOP), progress=lambda done, total: steps.append((done, total)))
    assert len(short_windows.batches) == 3
    # 1 10 100, 1 (1 1), 1 10 (10)
    assert separation.objective == [1.0, 7.0, 37.0]
    assert steps == [(done, 9) for done in (1, 2, 3, 4, 6, 7, 8, 9)]


def test_what_was_found_in_windows_before_is_not_held(short_windows: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the pictures of its windows: with those of the next ones it would be twice as much."""
    known = minvae_pyro.enhancement.separation.infer_waveforms
    found: list[weakref.ref[Any]] = []

    def watched(*arguments: Any, **options: Any) -> Any:
        assert all(one() is None for one in found)
        inferred = known(*arguments, **options)
        found.append(weakref.ref(inferred.gain))
        return inferred

    monkeypatch.setattr(minvae_pyro.enhancement.separation, "infer_waveforms", watched)
    run(white(1, 40000))
    assert len(found) > 2
