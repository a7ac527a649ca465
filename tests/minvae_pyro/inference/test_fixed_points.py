"""Where the variational engines come to rest, against bounds that are integrated by quadrature and climbed by scipy."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from minvae_pyro.guides import MeanFieldGuide
from minvae_pyro.inference import FastVariational, StochasticVariational, VariationalEM
from minvae_pyro.inference.engine import InferenceEngine
from minvae_pyro.models import AudioVAE, NMFNoise, NoisyMixture
from minvae_pyro.utterances import Utterances

FRAMES = 200
"""Copies of one frame: each has draws of its own, so that their mean is hardly random."""

ENGINES: dict[str, list[InferenceEngine]] = {
    "fast": [FastVariational(iterations=100, last_rate=0.002)],
    "svi": [StochasticVariational(iterations=60)],
    # its alternation is slow: long steps first, short ones to the end
    "vem": [VariationalEM(iterations=100, learning_rate=rate, samples=20) for rate in (0.1, 0.02)],
}


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise and gain stay as they are."""
    monkeypatch.setattr(NMFNoise, "m_step", lambda *_: None)
    monkeypatch.setattr(NoisyMixture, "move_gain", lambda *_: None)
    monkeypatch.setattr(VariationalEM, "_m_step", lambda *_: None)


def integrated(speech: Tensor, noise: Tensor, power: Tensor, weights: Tensor) -> Tensor:
    """E_q[log p(x | z)], the speech integrated out; speech (G, F) on the nodes."""
    variance = speech + noise
    return -(weights @ (variance.log() + power / variance)).sum()


def with_speech(speech: Tensor, noise: Tensor, power: Tensor, weights: Tensor) -> Tensor:
    """E_q[log p(x | s) + log p(s | z)] + H(q(s)) at the best q(s), up to a constant."""
    precision, level = weights @ (1 / speech), weights @ speech.log()
    variance = 1 / (precision + 1 / noise)
    square = (variance / noise) ** 2 * power
    remainder = (1 - variance / noise) ** 2 * power + variance
    return (-remainder / noise - level - (square + variance) * precision + variance.log()).sum()


def rest(speech: AudioVAE, mixture: NoisyMixture, batch: Utterances, latent: int, likelihood: Any) -> Tensor:
    """Mean and scale, (2, L), at the top of a bound that is integrated over z."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    grid = torch.cartesian_prod(*[torch.from_numpy(nodes)] * latent).reshape(-1, latent)
    share = torch.cartesian_prod(*[torch.from_numpy(weights / weights.sum())] * latent).reshape(-1, latent).prod(-1)
    noise, power = mixture.noise(batch)[0, 0], batch.power[0, 0]

    def negative(flat: Any) -> tuple[float, Any]:
        parameters = torch.tensor(flat, requires_grad=True)
        mean, scale = parameters[:latent], parameters[latent:].exp()
        variance = mixture.gain[0, 0] * speech.decoder(mean + scale * grid)
        divergence = (0.5 * (mean.square() + scale.square()) - scale.log()).sum()
        value = divergence - likelihood(variance, noise, power, share)
        (slope,) = torch.autograd.grad(value, parameters)
        return float(value.detach()), slope.numpy()

    found = minimize(negative, np.zeros(2 * latent), jac=True, method="BFGS", options={"gtol": 1e-8})
    mean, log_scale = torch.from_numpy(found.x).split(latent)
    return torch.stack([mean, log_scale.exp()])


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("latent", [1, 2])
@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_comes_to_rest_at_the_top_of_its_bound(name: str, latent: int, small: Any) -> None:
    torch.manual_seed(4)
    one = small.recordings(1, 1)
    speech = small.vae(latent, 1)
    alone = small.mixture_of(speech, one)
    batch = Utterances.from_spectrum(one.spectrum.expand(1, FRAMES, -1).contiguous())
    noise = alone.noise.at(activations=alone.noise.activations.expand(-1, -1, FRAMES).contiguous())
    mixture = NoisyMixture(speech, noise, alone.gain)
    begin = torch.zeros(1, FRAMES, latent, dtype=torch.float64)
    guide = MeanFieldGuide().start(speech, batch, (begin, torch.ones_like(begin)))
    for engine in ENGINES[name]:
        engine(mixture, guide, batch)
    found = torch.stack([guide.mean, guide.scale]).detach()[:, 0].mean(1)

    tops = {what: rest(speech, alone, one, latent, what) for what in (integrated, with_speech)}
    expected = tops[with_speech if name == "vem" else integrated]
    torch.testing.assert_close(found, expected, rtol=0, atol=0.03)
    # the two bounds differ, and neither top is the prior
    assert (tops[integrated] - tops[with_speech]).abs().max() > 0.1
    assert all((top - torch.tensor([[0.0], [1.0]])).abs().max() > 0.1 for top in tops.values())
