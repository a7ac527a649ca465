"""Metropolis-Hastings against integrals on a grid."""

import math
from typing import Any

import pytest
import torch

from minvae_pyro.inference import MetropolisHastingsEM


@pytest.mark.parametrize("latent", [1, 2])
def test_metropolis_hastings_draws_from_the_posterior(small: Any, latent: int) -> None:
    batch = small.recordings(1, 3)
    speech = small.vae(latent, 1)
    mixture = small.mixture_of(speech, batch)
    grid, density = small.on_a_grid(mixture, speech, batch, latent, points=241 if latent == 1 else 121)
    assert (torch.einsum("gbn,gk->bnk", density, grid).abs() > 0.1).any()  # the frames have something to say
    engine = MetropolisHastingsEM(steps=100, burn_in=60, chains=2000, proposal_variance=1.0)
    kept = small.one_e_step(engine, mixture, small.particles(mixture, batch, 2000, latent), batch)
    assert kept.shape == (40 * 2000, 1, 3, latent)
    small.assert_moments(kept, grid, density, 0.05)


def test_acceptance_is_the_integral_and_falls_with_the_step(small: Any) -> None:
    batch = small.recordings(1, 1)
    speech = small.vae(1, 1)
    mixture = small.mixture_of(speech, batch)
    grid, density = small.on_a_grid(mixture, speech, batch, 1)
    density = density.squeeze()
    rates = []
    for variance in (0.01, 1.0, 100.0):
        engine = MetropolisHastingsEM(steps=62, burn_in=60, chains=4000, proposal_variance=variance)
        guide = small.particles(mixture, batch, 4000, 1)
        # begun in the posterior itself
        index = torch.multinomial(density, 4000, replacement=True)
        guide.set_particles(grid[index].reshape(4000, 1, 1, 1))
        before, after = small.one_e_step(engine, mixture, guide, batch).squeeze().chunk(2)
        rates.append((before != after).double().mean().item())
        step = torch.linspace(-6, 6, 400, dtype=torch.float64) * math.sqrt(variance)
        moves = (-step.square() / (2 * variance)).softmax(0)
        with torch.no_grad():
            here = small.log_density(mixture, speech, batch, grid[:, None, None]).squeeze()
            there = small.log_density(mixture, speech, batch, (grid + step).flatten()[:, None, None, None]).reshape(
                len(grid), -1
            )
        expected = torch.einsum("g,m,gm->", density, moves, (there - here[:, None]).clamp(max=0).exp())
        assert rates[-1] == pytest.approx(expected.item(), abs=0.04)
    assert rates[0] > 0.9 > 0.3 > rates[2]
    assert rates == sorted(rates, reverse=True)
