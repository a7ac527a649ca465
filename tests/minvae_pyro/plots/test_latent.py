import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from minvae_pyro.errors import UserError
from minvae_pyro.models import AudioVAE, Latent, MixtureOfVAEs
from minvae_pyro.plots import latent_figure
from minvae_pyro.plots.latent import traverse
from minvae_pyro.utterances import Utterances


class LogLinear(nn.Module):
    """Spectra whose logarithm is linear in z: the n-th coordinate raises frequency n by 10 n dB a step."""

    def forward(self, z: Tensor) -> Tensor:
        return (z * torch.arange(z.shape[-1]) * math.log(10)).exp()


class Silent(nn.Module):
    """The same spectrum for every z."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.full_like(z, 1e-6)


def prior() -> AudioVAE:
    return AudioVAE(4, LogLinear())


def test_a_traversal_follows_the_decoder() -> None:
    frame = Utterances.from_spectrum(torch.zeros(1, 1, 4))
    point = Latent(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    found = traverse(prior(), point, 3, torch.tensor([-1.0, 0.0, 2.0]), frame)
    np.testing.assert_allclose(found.numpy(), [[0, 10, 0, -30], [0, 10, 0, 0], [0, 10, 0, 60]], atol=1e-4)


def test_the_coordinates_that_change_most_are_drawn_first() -> None:
    figure = latent_figure(prior(), reach=2.0, steps=5)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [f"coordinate {n}" for n in (3, 2, 1, 0)]
    heights = [float(np.asarray(line.get_ydata())[3]) for line in panels[0].lines]
    np.testing.assert_allclose(heights, [-60, -30, 0, 30, 60], atol=1e-4)


def test_a_mixture_is_passed_through_where_the_sound_is_trusted() -> None:
    mixture = MixtureOfVAEs(prior(), AudioVAE(4, Silent()))
    panels = [axes for axes in latent_figure(mixture, [2]).axes if axes.get_title()]
    heights = [float(np.asarray(line.get_ydata())[2]) for line in panels[0].lines]
    np.testing.assert_allclose(heights, np.linspace(-60, 60, 7), atol=1e-4)


def test_a_coordinate_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="coordinate 4 in a z of 4"):
        latent_figure(prior(), [0, 4])
