import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torchaudio

from minvae_pyro.errors import UserError
from minvae_pyro.synthetic.talker import SyntheticUtterance, Talker, draw_talker, speak, synthesise


def log_mel(utterance: SyntheticUtterance) -> torch.Tensor:
    """(T, 24) decibels around the instant of each picture."""
    step = utterance.sample_rate / 25
    assert step == int(step)
    mel = torchaudio.transforms.MelSpectrogram(utterance.sample_rate, n_fft=1024, hop_length=int(step), n_mels=24)(
        utterance.waveform
    )
    return 10 * torch.log10(mel + 1e-7).T[: len(utterance.crops)]


def picture_features(utterance: SyntheticUtterance) -> torch.Tensor:
    """(T, 64) the lower middle of the picture, coarse, without its mean over the clip."""
    grey = torch.nn.functional.avg_pool2d(utterance.crops[:, 18:58, 9:57].float() / 255, (5, 6))
    return (grey - grey.mean(0)).flatten(1)


def with_squares(features: torch.Tensor) -> torch.Tensor:
    return torch.cat([features, features**2, torch.ones(len(features), 1)], dim=1)


def explained(features: torch.Tensor, target: torch.Tensor, weights: torch.Tensor) -> float:
    residual = (target - features @ weights).square().sum()
    return float(1 - residual / (target - target.mean(0)).square().sum())


@hypothesis.given(
    seconds=st.floats(1e-4, 1.2),
    frames_per_second=st.sampled_from([25.0, 29.97, 30.0, 50.0]),
    seed=st.integers(0, 9),
)
@hypothesis.settings(max_examples=15)
def test_shapes_levels_and_clock(seconds: float, frames_per_second: float, seed: int) -> None:
    utterance = synthesise(seconds, seed, frames_per_second=frames_per_second)
    assert utterance.waveform.shape == (round(16000 * seconds),)
    assert utterance.waveform.dtype == torch.float32
    assert utterance.waveform.isfinite().all()
    assert utterance.waveform.abs().max() <= 0.951
    frames = len(utterance.times)
    assert utterance.crops.shape == (frames, 67, 67)
    assert utterance.crops.dtype == torch.uint8
    # Pictures cover the sound and none lies beyond it.
    duration = len(utterance.waveform) / 16000
    assert utterance.times.dtype == torch.float64
    assert utterance.times[0] == 0
    assert utterance.times[-1] < duration <= utterance.times[-1] + 1 / frames_per_second + 1e-9
    torch.testing.assert_close(utterance.times.diff(), torch.full((frames - 1,), 1 / frames_per_second).double())


def test_a_seed_decides_everything() -> None:
    first, again, other = (synthesise(1.0, seed) for seed in (3, 3, 4))
    assert first.waveform.equal(again.waveform)
    assert first.crops.equal(again.crops)
    assert not first.waveform.equal(other.waveform)
    assert not first.crops.equal(other.crops)
    assert draw_talker(5) == draw_talker(5) != draw_talker(6)


def test_speak_is_the_sound_of_synthesise() -> None:
    talker = draw_talker(2)
    assert speak(0.7, 1, talker=talker).equal(synthesise(0.7, 1, talker=talker, frames_per_second=50).waveform)


def test_film_rate_changes_neither_speech_nor_sound() -> None:
    slow, fast = synthesise(1.0, 0, frames_per_second=25), synthesise(1.0, 0, frames_per_second=50)
    assert slow.waveform.equal(fast.waveform)
    np.testing.assert_allclose(slow.posture.opening, fast.posture.opening[::2])


def test_closed_lips_are_silent_and_dark_mouths_are_loud() -> None:
    utterance = synthesise(12.0, 0)
    level = log_mel(utterance).mean(1)
    opening = torch.from_numpy(utterance.posture.opening)
    shut, wide = opening < -0.03, opening > 0.6
    assert min(shut.sum(), wide.sum()) > 10
    assert level[wide].mean() > level[shut].mean() + 20  # dB
    dark = (utterance.crops[:, 24:50, 20:47] < 60).float().mean((1, 2))
    assert dark[wide].mean() > 4 * dark[shut].mean()


def test_pictures_predict_sound_and_pictures_of_another_clip_do_not() -> None:
    seen = [synthesise(8.0, seed) for seed in range(6)]
    pictures, sound = (
        with_squares(torch.cat([picture_features(one) for one in seen])),
        torch.cat([log_mel(one) for one in seen]),
    )
    ridge = 0.1 * torch.eye(pictures.shape[1])
    weights = torch.linalg.solve(pictures.T @ pictures + ridge, pictures.T @ sound)
    new, wrong = synthesise(8.0, 100), synthesise(8.0, 101)
    assert explained(with_squares(picture_features(new)), log_mel(new), weights) > 0.5
    assert explained(with_squares(picture_features(wrong)), log_mel(new), weights) < 0


def test_talkers_differ_in_pitch_and_look() -> None:
    low, high = (synthesise(3.0, 0, talker=Talker(pitch_hz=hertz)) for hertz in (100.0, 200.0))
    pitch = [torchaudio.functional.detect_pitch_frequency(one.waveform, 16000).median() for one in (low, high)]
    assert pitch[0] == pytest.approx(100, rel=0.2)
    assert pitch[1] == pytest.approx(200, rel=0.2)
    skins = torch.tensor([synthesise(0.1, 0, talker=draw_talker(seed)).crops.float().mean() for seed in range(6)])
    assert skins.std() > 8  # grey levels


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-6])
def test_no_sound_is_refused(seconds: float) -> None:
    with pytest.raises(UserError, match="more than 0 seconds"):
        synthesise(seconds, 0)


@pytest.mark.parametrize("rate", [0.0, -25.0, float("nan")])
def test_no_frame_rate_is_refused(rate: float) -> None:
    with pytest.raises(UserError, match="frames per second"):
        synthesise(1.0, 0, frames_per_second=rate)
