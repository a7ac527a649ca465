from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch import Tensor

import minvae_pyro.enhancement.filter
import minvae_pyro.enhancement.streaming
from minvae_pyro import Checkpoint, SpeechStream, UserError, enhance_stream, load_checkpoint
from minvae_pyro.audio.stft import STFT
from minvae_pyro.inference import StochasticVariational
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.models import NoiseModel
from minvae_pyro.registry.names import subclasses
from minvae_pyro.synthetic.talker import SyntheticUtterance, synthesise
from minvae_pyro.utterances import Utterances
from minvae_pyro.video.track import MouthTrack

RATE = 16000
FEW = StochasticVariational(iterations=1, steps=1)


@pytest.fixture
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture
def noisy(utterance: SyntheticUtterance) -> Tensor:
    return with_noise(utterance.waveform)


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> list[Utterances]:
    """Stand in for `infer`: the gain of a frame is a function of the frame alone. Gives the windows that were asked."""
    windows: list[Utterances] = []

    def infer(checkpoint: Any, utterances: Utterances, **options: Any) -> SimpleNamespace:
        windows.append(utterances)
        gain = torch.where(utterances.mouth_seen, 0.5, 1.0)[..., None].expand(utterances.spectrum.shape)
        return SimpleNamespace(gain=gain)

    monkeypatch.setattr(minvae_pyro.enhancement.filter, "infer", infer)
    return windows


def with_noise(speech: Tensor) -> Tensor:
    """White noise as loud as the speech."""
    noise = torch.randn(len(speech), generator=torch.Generator().manual_seed(2))
    return speech + noise * speech.square().mean().sqrt()


def blocks_of(sound: Tensor, length: int, mouth: MouthTrack | None = None) -> Any:
    """Cut sound, and the pictures taken meanwhile, into blocks."""
    for start in range(0, len(sound), length):
        piece = sound[start : start + length]
        if mouth is None:
            yield piece
        else:
            now = (mouth.times >= start / RATE) & (mouth.times < (start + length) / RATE)
            yield piece, MouthTrack(mouth.crops[now], mouth.times[now], mouth.found[now])


def film(utterance: SyntheticUtterance) -> MouthTrack:
    return MouthTrack(utterance.crops, utterance.times, torch.ones(len(utterance.times)).bool())


def streamed(checkpoint: Checkpoint, sound: Tensor, length: int = 1600, **options: Any) -> Tensor:
    mouth = options.pop("mouth", None)
    options = {"engine": FEW} | options
    return torch.cat(list(enhance_stream(blocks_of(sound, length, mouth), checkpoint=checkpoint, **options)))


def si_sdr(clean: Tensor, estimate: Tensor) -> float:
    target = (clean @ estimate) / (clean @ clean) * clean
    return float(10 * torch.log10(target.square().sum() / (estimate - target).square().sum()))


@pytest.mark.parametrize("hop", [256, 533, 768])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(0, 4000), min_size=1, max_size=12))
def test_a_gain_of_one_gives_the_sound_back_in_blocks_of_any_length(
    checkpoint: Checkpoint, instant: list[Utterances], hop: int, lengths: list[int]
) -> None:
    sound = torch.randn(max(1, sum(lengths)), generator=torch.Generator().manual_seed(0))
    other = replace(checkpoint, stft=STFT(hop=hop))
    clean = torch.cat(list(enhance_stream(sound.split([*lengths, len(sound) - sum(lengths)]), checkpoint=other)))
    torch.testing.assert_close(clean, sound, rtol=0, atol=2e-5)


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(50, 9000))
def test_the_result_does_not_depend_on_the_blocks(
    checkpoint: Checkpoint, noisy: Tensor, utterance: SyntheticUtterance, length: int
) -> None:
    mouth = film(utterance)
    whole = streamed(checkpoint, noisy, len(noisy), mouth=mouth)
    torch.testing.assert_close(streamed(checkpoint, noisy, length, mouth=mouth), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("hop", [256, 533])
def test_clean_speech_is_out_after_the_latency_and_final(checkpoint: Checkpoint, noisy: Tensor, hop: int) -> None:
    other = replace(checkpoint, stft=STFT(hop=hop))
    stream, clean = SpeechStream(other, engine=FEW), torch.zeros(0)
    latency = round(stream.latency * RATE)
    assert latency < 0.25 * RATE
    shortest = len(noisy)
    for block in noisy[:12000].split(60):
        arrived = stream._sound.samples + len(block)
        clean = torch.cat([clean, stream.push(block)])
        assert len(clean) >= arrived - latency
        shortest = min(shortest, len(clean) - arrived + latency)
    assert shortest < 60  # the latency that is stated is no longer than it must be
    changed = torch.cat([noisy[:12000], 10 * noisy[12000:]])
    torch.testing.assert_close(streamed(other, changed)[: len(clean)], clean, rtol=0, atol=1e-6)


def test_what_is_kept_does_not_grow(checkpoint: Checkpoint, instant: list[Utterances]) -> None:
    stream = SpeechStream(checkpoint)
    mouth = torch.zeros(3, 67, 67, dtype=torch.uint8)
    sizes = []
    for second in range(40):
        times = second + torch.tensor([0.1, 0.4, 0.7], dtype=torch.float64)
        # after ten seconds only pictures go on
        stream.push(torch.randn(RATE) * (second < 10), MouthTrack(mouth, times, torch.ones(3).bool()))
        pictures: Any = stream._pictures.track
        parts = (stream, stream._sound, stream._window, stream._speech)
        tensors = [v for part in parts for v in vars(part).values() if isinstance(v, Tensor)]
        sizes.append((sum(v.numel() for v in tensors), len(pictures.times), instant[-1].frames))
    # blocks of a second and groups of frames do not fit into each other exactly
    early, late = zip(*sizes[5:15], strict=True), zip(*sizes[-10:], strict=True)
    for before, after in zip(early, late, strict=True):
        assert max(after) <= 1.1 * max(before)


def test_posterior_and_noise_go_on_from_window_to_window(
    checkpoint: Checkpoint, noisy: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minvae_pyro.enhancement.streaming, "CONTEXT_SECONDS", 0.4)
    stream = SpeechStream(checkpoint, engine=StochasticVariational(iterations=1, steps=1, learning_rate=1e-9))
    stream.push(noisy[:9000])
    one: Any = stream._inference
    first = int(stream._window.numbers[0])
    stream.push(noisy[9000:12000])
    other: Any = stream._inference
    gone = int(stream._window.numbers[0]) - first
    assert gone > 0
    kept = one.guide.mean.shape[1] - gone
    torch.testing.assert_close(other.guide.mean[:, :kept], one.guide.mean[:, gone:], rtol=0, atol=1e-6)
    torch.testing.assert_close(other.guide.scale[:, :kept], one.guide.scale[:, gone:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [0.01, 8.0, 10.0])
def test_louder_in_louder_out(checkpoint: Checkpoint, noisy: Tensor, scale: float) -> None:
    clean = streamed(checkpoint, noisy[:8000])
    torch.testing.assert_close(streamed(checkpoint, scale * noisy[:8000]) / scale, clean, rtol=0, atol=1e-4)


def test_silence_gives_silence_and_can_be_followed_by_speech(noisy: Tensor) -> None:
    checkpoint = load_checkpoint("a-vae")  # trained well enough to hear the speech
    assert not streamed(checkpoint, torch.zeros(3 * RATE)).any()
    around = torch.cat([torch.zeros(3 * RATE), noisy, torch.zeros(4 * RATE), noisy])
    clean = streamed(checkpoint, around)
    assert torch.isfinite(clean).all()
    assert not clean[: 3 * RATE - 1024].any()
    assert not clean[4 * RATE + 1024 : 8 * RATE - 1024].any()
    for begin in (3 * RATE, 8 * RATE):
        assert clean[begin : begin + RATE].square().mean() > 0.1 * noisy.square().mean()


def test_speech_comes_back_after_a_pause_with_next_to_no_sound(noisy: Tensor) -> None:
    pause = 1e-5 * torch.randn(4 * RATE, generator=torch.Generator().manual_seed(3))
    clean = streamed(load_checkpoint("a-vae"), torch.cat([noisy, pause, noisy]), engine=None)
    assert clean[5 * RATE :].square().mean() > 0.1 * noisy.square().mean()


@pytest.mark.parametrize("filmed", [False, True])
def test_noise_is_taken_away(filmed: bool) -> None:
    utterance = synthesise(3.0, 77)
    noisy = with_noise(utterance.waveform)
    clean = streamed(
        load_checkpoint("min-vae" if filmed else "a-vae"),
        noisy,
        engine=None,
        mouth=film(utterance) if filmed else None,
    )
    # the first half second is spent on getting to know the noise
    later = slice(RATE // 2, None)
    assert si_sdr(utterance.waveform[later], clean[later]) > si_sdr(utterance.waveform[later], noisy[later]) + 3


def test_pictures_count_at_their_time_and_not_before_it(checkpoint: Checkpoint, instant: list[Utterances]) -> None:
    sound = torch.ones(2 * RATE)
    times = torch.arange(50, dtype=torch.float64) / 25
    mouth = MouthTrack(torch.full((50, 67, 67), 9, dtype=torch.uint8), times, times >= 1)
    clean = streamed(checkpoint, sound, mouth=mouth)
    assert not any(window.mouth_seen.any() for window in instant[:5])
    assert instant[-1].mouth_seen.sum() == pytest.approx(30, abs=2)
    torch.testing.assert_close(clean[: RATE - 2000], sound[: RATE - 2000], rtol=0, atol=1e-4)
    torch.testing.assert_close(clean[RATE + 1000 :], sound[RATE + 1000 :] / 2, rtol=0, atol=1e-4)


@pytest.mark.parametrize("noise", [*(n for n in subclasses(NoiseModel) if n != "FrozenNoise"), "frozen"])
@pytest.mark.parametrize("guide", ["MeanFieldGuide", "MixtureUtteranceGuide", "AmortisedGuide", "SmoothedGuide"])
def test_every_noise_model_and_guide(checkpoint: Checkpoint, noisy: Tensor, noise: Any, guide: str) -> None:
    if noise == "frozen":
        noise = {"class_path": "FrozenNoise", "init_args": {"noise": "NMFNoise"}}
    clean = streamed(checkpoint, noisy[:8000], noise=noise, guide=guide)
    assert clean.shape == (8000,)
    assert torch.isfinite(clean).all()
    assert 0 < clean.square().sum() < noisy[:8000].square().sum()


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine(checkpoint: Checkpoint, noisy: Tensor, engine: str) -> None:
    arguments = {"iterations": 2, "steps": 1} | ({"burn_in": 0} if engine in ("mcem", "langevin") else {})
    clean = streamed(checkpoint, noisy[:6000], engine={"class_path": engine, "init_args": arguments})
    assert torch.isfinite(clean).all()
    assert clean.any()


def no_blocks(checkpoint: Checkpoint) -> Any:
    return enhance_stream([], checkpoint=checkpoint)


def another_rate(checkpoint: Checkpoint) -> Any:
    return enhance_stream([torch.zeros(9)], checkpoint=checkpoint, sample_rate=44100)


def two_channels(checkpoint: Checkpoint) -> Any:
    return enhance_stream([torch.zeros(2, 9)], checkpoint=checkpoint)


def integers(checkpoint: Checkpoint) -> Any:
    return enhance_stream([torch.zeros(9, dtype=torch.int16)], checkpoint=checkpoint)


def not_a_number(checkpoint: Checkpoint) -> Any:
    return enhance_stream([torch.tensor([0.0, torch.nan])], checkpoint=checkpoint)


def pictures_out_of_order(checkpoint: Checkpoint) -> Any:
    one = MouthTrack(torch.zeros(1, 67, 67, dtype=torch.uint8), torch.zeros(1).double(), torch.ones(1).bool())
    return enhance_stream([(torch.zeros(9), one), (torch.zeros(9), one)], checkpoint=checkpoint)


def no_such_setting(checkpoint: Checkpoint) -> Any:
    return enhance_stream([torch.zeros(9)], checkpoint=checkpoint, windows=3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (no_blocks, "no sound has come in"),
        (another_rate, "16000 Hz, not 44100 Hz"),
        (two_channels, r"not \(2, 9\)"),
        (integers, "int16"),
        (not_a_number, "NaN"),
        (pictures_out_of_order, "order of their times"),
        (no_such_setting, "no setting windows"),
    ],
)
def test_mistakes_are_refused(checkpoint: Checkpoint, wrong: Callable[[Checkpoint], Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(wrong(checkpoint))


def test_an_ended_stream_takes_no_more(checkpoint: Checkpoint) -> None:
    stream = SpeechStream(checkpoint)
    stream.push(torch.zeros(5))
    assert stream.finish().shape == (5,)
    for again in (lambda: stream.push(torch.zeros(5)), stream.finish):
        with pytest.raises(UserError, match="has ended"):
            again()
