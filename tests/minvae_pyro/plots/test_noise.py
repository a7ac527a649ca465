import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from minvae_pyro.errors import UserError
from minvae_pyro.models import BayesianNMFNoise, FrozenNoise, NMFNoise, NoiseModel, StationaryNoise
from minvae_pyro.plots import noise_figure
from minvae_pyro.utterances import Utterances

FREQUENCIES, FRAMES = 9, 6


def utterances() -> Utterances:
    return Utterances.from_spectrum(torch.rand(2, FRAMES, FREQUENCIES) + 0.1)


def parts(figure: Figure) -> tuple[np.ndarray, np.ndarray]:
    """Spectra (K, F) and activations (K, N) in power, read off the axes."""
    left, right = figure.axes[::2], figure.axes[1::2]
    spectra = [np.asarray(axes.lines[0].get_ydata(), dtype=float) for axes in left]
    activations = [axes.patches[0].get_data().values for axes in right]  # type: ignore[attr-defined]
    return 10 ** (np.array(spectra) / 10), 10 ** (np.array(activations) / 10)


@pytest.mark.parametrize("model", [NMFNoise(3), BayesianNMFNoise(3), FrozenNoise(NMFNoise(2)), StationaryNoise()])
@pytest.mark.parametrize("recording", [0, 1])
def test_the_parts_add_up_to_the_variance_of_the_noise(model: NoiseModel, recording: int) -> None:
    batch = utterances()
    noise = model.start(batch)
    spectra, activations = parts(noise_figure(noise, frame_times=torch.arange(FRAMES) * 0.1, recording=recording))
    np.testing.assert_allclose(activations.T @ spectra, noise(batch)[recording].numpy(), rtol=1e-5)
    np.testing.assert_allclose(spectra.mean(1), 1, rtol=1e-5)


def test_the_strongest_part_comes_first_and_only_eight_are_drawn() -> None:
    activations = torch.arange(1.0, 11.0)[:, None].expand(10, FRAMES)
    figure = noise_figure(torch.ones(FREQUENCIES, 10), activations)
    _, drawn = parts(figure)
    np.testing.assert_allclose(drawn[:, 0], np.arange(10, 2, -1))
    # 10 of 1 + ... + 10
    assert figure.axes[1].get_title(loc="left").endswith("18% of the power")
    assert figure.axes[-1].get_xlabel() == "frame"


def test_noise_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(UserError, match="not been fitted"):
        noise_figure(NMFNoise())
    with pytest.raises(UserError, match="activations"):
        noise_figure(torch.ones(9, 2))
    with pytest.raises(UserError, match=r"\(9, 2\) and \(3, 6\)"):
        noise_figure(torch.ones(9, 2), torch.ones(3, 6))
    other = type("OtherNoise", (NoiseModel,), dict.fromkeys(NoiseModel.__abstractmethods__))
    with pytest.raises(UserError, match="cannot draw OtherNoise"):
        noise_figure(other().at(level=torch.ones(1)))
