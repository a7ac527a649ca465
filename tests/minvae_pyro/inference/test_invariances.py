"""What must not matter, for every engine: the order of frames that nothing ties together, and the loudness."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import minvae_pyro.inference.langevin
import minvae_pyro.inference.metropolis
import minvae_pyro.probability.normals
from minvae_pyro.enhancement.enhance import enhance
from minvae_pyro.guides import MeanFieldGuide
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.models import NoisyMixture
from minvae_pyro.video.track import MouthTrack

ORDER = torch.tensor([3, 0, 5, 1, 4, 2])


@pytest.fixture
def shuffle_draws(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called, every frame gets the random numbers of the frame that it once was."""

    def shuffled(draw: Callable[..., Tensor], axis: int) -> Callable[..., Tensor]:
        return lambda *a, **k: draw(*a, **k).index_select(axis, ORDER)

    def begin() -> None:
        for module in (
            minvae_pyro.probability.normals,
            minvae_pyro.inference.langevin,
            minvae_pyro.inference.metropolis,
        ):
            monkeypatch.setattr(module, "normal", shuffled(module.normal, -2))
        monkeypatch.setattr(
            minvae_pyro.inference.metropolis, "uniform", shuffled(minvae_pyro.inference.metropolis.uniform, -1)
        )

    return begin


@pytest.mark.parametrize("kind", ["plain", "two"])
@pytest.mark.parametrize("name", ENGINES)
def test_frames_in_another_order_are_the_same_frames(
    name: str, few: Any, kind: str, small: Any, shuffle_draws: Callable[[], None]
) -> None:
    batch, prior = small.recordings(1, 6), small.prior(kind)
    mean = torch.randn(1, 6, 2, dtype=torch.float64)
    mixture = small.mixture_of(prior, batch)
    other = batch.replace(spectrum=batch.spectrum[:, ORDER], noisy_power=batch.noisy_power[:, ORDER])
    noise = mixture.noise.at(activations=mixture.noise.activations[..., ORDER])

    def gain(one: Any, mixture: NoisyMixture, mean: Tensor) -> Tensor:
        torch.manual_seed(2)
        engine = few(name)
        guide = engine.posterior(MeanFieldGuide().start(mixture.speech, one, (mean, torch.ones_like(mean))))
        engine(mixture, guide, one)
        return engine.gain(mixture, guide, one, 3)

    found = gain(batch, mixture, mean)
    shuffle_draws()
    shuffled = gain(
        other, NoisyMixture(prior.condition_on(other), noise, torch.full_like(mixture.gain, 1.2)), mean[:, ORDER]
    )
    torch.testing.assert_close(shuffled, found[:, ORDER], rtol=1e-7, atol=1e-9)
    assert (shuffled - found).abs().max() > 1e-3


@pytest.mark.parametrize("name", ENGINES)
def test_ten_times_the_input_gives_ten_times_the_output(
    name: str, few: Any, tiny_checkpoint: Any, utterance: Any
) -> None:
    mouth = MouthTrack(utterance.crops, utterance.times, torch.ones(len(utterance.times), dtype=torch.bool))
    soft, loud = (
        enhance(sound, sample_rate=16000, video=mouth, checkpoint=tiny_checkpoint, engine=few(name)).speech
        for sound in (0.1 * utterance.waveform, utterance.waveform)
    )
    assert soft.abs().max() > 0
    torch.testing.assert_close(loud, 10 * soft, rtol=1e-3, atol=1e-3 * float(loud.abs().max()))
