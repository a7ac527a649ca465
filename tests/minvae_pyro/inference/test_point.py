"""Points that climb, against the mode on a grid."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from minvae_pyro.guides import MeanFieldGuide
from minvae_pyro.inference import PointEM
from minvae_pyro.models import NMFNoise, NoisyMixture
from minvae_pyro.utterances import Utterances


@pytest.mark.parametrize("latent", [1, 2])
def test_map_finds_the_mode(small: Any, latent: int) -> None:
    batch = small.recordings(1, 3)
    speech = small.vae(latent, 1)
    mixture = small.mixture_of(speech, batch)
    points = 241 if latent == 1 else 121
    grid, density = small.on_a_grid(mixture, speech, batch, latent, points)
    mode = grid[density.argmax(0)]
    guide = small.particles(mixture, batch, 1, latent)
    guide.set_particles(mode[None] + 0.2)
    found = small.one_e_step(PointEM(steps=800, learning_rate=0.01), mixture, guide, batch).requires_grad_()
    assert (found[0] - mode).abs().max() < 12 / (points - 1)  # a cell of the grid
    (slope,) = torch.autograd.grad(small.log_density(mixture, speech, batch, found).sum(), found)
    assert slope.abs().max() < 1e-3


def run(engine: PointEM, mixture: NoisyMixture, batch: Utterances, mean: Tensor) -> tuple[Tensor, list[float]]:
    guide = engine.posterior(MeanFieldGuide().start(mixture.speech, batch, (mean, torch.ones_like(mean))))
    objective = engine(mixture, guide, batch)
    return engine.gain(mixture, guide, batch, 1), objective


@pytest.mark.parametrize("kind", ["plain", "two", "chain"])
def test_the_objective_of_map_does_not_fall(small: Any, kind: str) -> None:
    batch = small.recordings(2, 6)
    mixture = small.mixture_of(small.prior(kind), batch)
    _, objective = run(
        PointEM(iterations=60, steps=1, learning_rate=0.005), mixture, batch, torch.zeros(2, 6, 2).double()
    )
    assert objective[-1] > objective[0] + 0.5
    assert min(after - before for before, after in itertools.pairwise(objective)) > 0


@pytest.mark.parametrize("kind", ["plain", "chain"])
def test_map_of_a_padded_batch_is_that_of_the_utterances_one_by_one(small: Any, kind: str) -> None:
    batch = small.recordings(2, 5)
    for name in ("mask", "mouth_seen"):
        getattr(batch, name)[1, 3:] = False
    prior = small.prior(kind)
    mixture = small.mixture_of(prior, batch)
    alone = Utterances.from_spectrum(batch.spectrum[1:, :3], batch.mouth[1:, :3])
    noise = NMFNoise(2).at(spectra=mixture.noise.spectra[1:], activations=mixture.noise.activations[1:, :, :3])
    mixture_alone = NoisyMixture(prior.condition_on(alone), noise, mixture.gain[1:])
    mean = torch.randn(2, 5, 2, dtype=torch.float64)
    loud = batch.replace(spectrum=torch.where(batch.mask[..., None], batch.spectrum, 100j))
    gain, _ = run(PointEM(iterations=8), mixture, loud, mean)
    gain_alone, _ = run(PointEM(iterations=8), mixture_alone, alone, mean[1:, :3])
    torch.testing.assert_close(gain[1, :3], gain_alone[0], rtol=1e-7, atol=1e-9)
