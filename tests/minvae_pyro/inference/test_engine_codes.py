"""Draws of the posterior: alpha is summed over, which must equal drawing it many times."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from minvae_pyro.guides import MeanFieldGuide, MixtureUtteranceGuide, PointGuide, UtteranceGuide
from minvae_pyro.inference.engine import draw_codes, expectation
from minvae_pyro.models import SpeechPrior
from minvae_pyro.utterances import Plates, Utterances

LATENT = 3


class Labelled(SpeechPrior):
    """alpha is the last coordinate of the code and changes the sign of the log-variance."""

    latent_dim = LATENT

    def latent(self, utterances: Utterances, plates: Plates) -> Tensor:
        with plates.every_frame():
            alpha = pyro.sample("alpha", dist.Bernoulli(torch.tensor(0.3, dtype=torch.float64)))
            z = pyro.sample("z", dist.Normal(torch.zeros(LATENT, dtype=torch.float64), 1.0).to_event(1))
        shape = torch.broadcast_shapes(alpha.shape, z.shape[:-1])
        return torch.cat([z.expand(*shape, -1), alpha.expand(shape)[..., None]], -1)

    def speech_variance(self, code: Tensor, utterances: Utterances) -> Tensor:
        return (code[..., :1] * (2 * code[..., -1:] - 1)).exp().expand(*code.shape[:-1], 6)


@pytest.mark.parametrize("mixed", [False, True])
def test_without_a_say_of_alpha_codes_are_the_draws(noisy: Any, mixed: bool) -> None:
    batch, prior = noisy.batch(2, 4), noisy.prior(mixed)
    guide = noisy.guide(batch, prior)
    torch.manual_seed(1)
    codes, weight = draw_codes(prior, guide, batch, 5)
    torch.manual_seed(1)
    assert weight is None
    assert torch.equal(codes, guide.draw(5)["z"])
    assert not codes.requires_grad
    assert torch.equal(expectation(codes, None), codes.mean(0))


@pytest.mark.parametrize("kind", [MeanFieldGuide, PointGuide, MixtureUtteranceGuide])
def test_with_a_say_of_alpha_every_draw_comes_under_both_values(noisy: Any, kind: type[UtteranceGuide]) -> None:
    batch, odds = noisy.batch(2, 4), torch.randn(2, 4, dtype=torch.float64)
    guide = noisy.guide(batch, Labelled(), kind, log_odds=odds)
    codes, weight = draw_codes(Labelled(), guide, batch, 5)
    draws = 1 if kind is PointGuide else 5
    assert codes.shape == (2 * draws, 2, 4, LATENT + 1)
    assert weight is not None
    torch.testing.assert_close(weight.sum(0), torch.ones(2, 4, dtype=torch.float64))
    heard = codes[..., -1] == 1
    assert (heard.sum(0) == draws).all()
    torch.testing.assert_close((weight * heard).sum(0), odds.sigmoid())


@pytest.mark.parametrize("kind", [MeanFieldGuide, MixtureUtteranceGuide])
def test_the_sum_over_alpha_is_what_drawing_it_comes_to(noisy: Any, kind: type[UtteranceGuide]) -> None:
    batch, odds = noisy.batch(2, 2), torch.randn(2, 2, dtype=torch.float64)
    prior = Labelled()
    guide = noisy.guide(batch, prior, kind, log_odds=odds)
    with torch.no_grad():
        guide.mean = torch.randn_like(guide.mean)
        guide.scale = 0.05 * torch.ones_like(guide.scale)
    codes, weight = draw_codes(prior, guide, batch, 2000)
    summed = expectation(prior.speech_variance(codes, batch), weight)
    alpha = torch.bernoulli(odds.sigmoid().expand(20000, 2, 2))
    z = guide.z_given(alpha).sample((20000,)) if kind is MeanFieldGuide else guide.z_given(alpha).sample()
    drawn = prior.speech_variance(torch.cat([z, alpha[..., None]], -1), batch)
    error = drawn.std(0) / 20000**0.5 + 0.003
    assert ((summed - drawn.mean(0)).abs() < 4 * error).all()
