"""Langevin steps against integrals on a grid and closed forms."""

from typing import Any

import pytest
import torch

from minvae_pyro.inference import LangevinEM
from minvae_pyro.inference.langevin import variation


@pytest.mark.parametrize("latent", [1, 2])
def test_small_langevin_steps_draw_from_the_posterior(small: Any, latent: int) -> None:
    batch = small.recordings(1, 3)
    speech = small.vae(latent, 1)
    mixture = small.mixture_of(speech, batch)
    grid, density = small.on_a_grid(mixture, speech, batch, latent, points=241 if latent == 1 else 121)
    engine = LangevinEM(steps=250, burn_in=200, chains=1000, step_size=0.03)
    kept = small.one_e_step(engine, mixture, small.particles(mixture, batch, 1000, latent), batch)
    small.assert_moments(kept, grid, density, 0.08)


def test_langevin_steps_that_are_too_long_draw_from_something_wider(small: Any) -> None:
    """On a standard normal the stationary variance is 1 / (1 - step_size / 4), by hand."""
    batch = small.recordings(1, 2)
    speech = small.vae(1, 1)
    mixture = small.mixture_of(speech, batch)
    for parameter in speech.decoder.parameters():
        parameter.data.zero_()  # the sound says nothing of z
    for step_size in (0.1, 0.3, 0.6):
        steps = 150 if step_size < 0.2 else 80
        engine = LangevinEM(steps=steps, burn_in=steps // 2, chains=2000, step_size=step_size)
        kept = small.one_e_step(engine, mixture, small.particles(mixture, batch, 2000, 1), batch)
        assert kept.square().mean().item() == pytest.approx(1 / (1 - step_size / 4), rel=0.03)


def test_total_variation_draws_neighbours_together(small: Any) -> None:
    batch = small.recordings(1, 2)
    speech = small.vae(1, 1)
    mixture = small.mixture_of(speech, batch)
    axis, density = small.on_a_grid(mixture, speech, batch, 1)
    apart = (axis - axis.T).abs()
    independent = density[:, 0, :1] * density[:, 0, 1:].T
    expected = {}
    for weight in (0.0, 2.0):
        joint = independent * (-weight * apart).exp()
        expected[weight] = (joint * apart).sum() / joint.sum()
    assert expected[2.0] < 0.6 * expected[0.0]
    for weight, distance in expected.items():
        engine = LangevinEM(steps=200, burn_in=150, chains=1000, step_size=0.02, total_variation=weight)
        kept = small.one_e_step(engine, mixture, small.particles(mixture, batch, 1000, 1), batch)
        assert (kept[:, 0, 0] - kept[:, 0, 1]).abs().mean().item() == pytest.approx(distance.item(), rel=0.08)


def test_total_variation_ends_where_the_recording_ends(small: Any) -> None:
    batch = small.recordings(2, 4)
    batch.mask[1, 2:] = False
    z = torch.randn(3, 2, 4, 2, dtype=torch.float64)
    expected = sum((z[:, 0, n] - z[:, 0, n - 1]).abs().sum() for n in (1, 2, 3)) + (z[:, 1, 1] - z[:, 1, 0]).abs().sum()
    torch.testing.assert_close(variation(z, batch), expected)
