import numpy as np
import pytest
import torch

from minvae_pyro.errors import UserError
from minvae_pyro.synthetic.noise import NOISE_KINDS, synthetic_noise


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_every_noise_has_the_length_the_level_and_the_seed(kind: str) -> None:
    noise = synthetic_noise(kind, 20_001, 0)
    assert noise.shape == (20_001,)
    assert noise.dtype == torch.float32
    assert noise.square().mean().sqrt().item() == pytest.approx(0.06, rel=1e-4)
    assert noise.equal(synthetic_noise(kind, 20_001, 0))
    assert not noise.equal(synthetic_noise(kind, 20_001, 1))


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_one_sample_is_enough(kind: str) -> None:
    assert synthetic_noise(kind, 1, 0).abs().item() == pytest.approx(0.06)


@pytest.mark.parametrize(("kind", "slope"), [("white", 0.0), ("pink", -1.0), ("brown", -2.0)])
def test_coloured_noise_falls_as_it_should(kind: str, slope: float) -> None:
    spectrum = torch.fft.rfft(synthetic_noise(kind, 160_000, 0)).abs().square()
    octaves = [spectrum[low : 2 * low].mean().item() for low in 1000 * 2 ** np.arange(6)]
    # Means over octaves of f**slope fall by the same factor as the law itself.
    assert np.polyfit(np.arange(6), np.log2(octaves), 1)[0] == pytest.approx(slope, abs=0.05)


def test_hum_sits_on_harmonics_of_fifty_hertz() -> None:
    spectrum = torch.fft.rfft(synthetic_noise("hum", 16_000, 0)).abs().square()
    assert spectrum[50:1201:50].sum() / spectrum.sum() > 0.95


def test_babble_is_many_talkers_and_hardly_ever_pauses() -> None:
    level = synthetic_noise("babble", 160_000, 0).reshape(-1, 1600).square().mean(1)
    assert level.min() > 1e-4 * level.mean()


def test_an_unknown_noise_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="babble"):
        synthetic_noise("bagpipe", 100, 0)


def test_no_samples_are_refused() -> None:
    with pytest.raises(UserError, match="at least 1"):
        synthetic_noise("white", 0, 0)
