"""What a prior says of alpha, asked by conditioning."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor

from minvae_pyro.guides.alpha_posterior import alpha_posterior, branches, latent_at
from minvae_pyro.models import AudioVAE, Latent, SpeechPrior
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.probability.markov import BinaryMarkovChain
from minvae_pyro.utterances import Plates, Utterances

LATENT = 3


class Labelled(SpeechPrior):
    """alpha has a say in the variance."""

    latent_dim = LATENT

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        with plates.every_frame():
            alpha = pyro.sample("alpha", dist.Bernoulli(torch.tensor(0.3, dtype=torch.float64)))
            mean = 2 * alpha[..., None] + torch.zeros(LATENT, dtype=torch.float64)
            z = pyro.sample("z", dist.Normal(mean, 1.0).to_event(1))
        return Latent(z, alpha)

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        return (latent.z[..., :1] * latent.alpha[..., None]).exp()


def normal(*shape: int) -> dist.Normal:
    return dist.Normal(torch.randn(shape, dtype=torch.float64), 0.2 + torch.rand(shape, dtype=torch.float64))


def divergence(q: dist.Normal, mean: Tensor, scale: Tensor) -> Tensor:
    return ((scale / q.scale).log() + (q.scale**2 + (q.loc - mean) ** 2) / (2 * scale**2) - 0.5).sum(-1)


@pytest.mark.parametrize("kind", ["constant", "conditional"])
@pytest.mark.parametrize("shape", [(2, 3, LATENT), (2, 2, 3, LATENT)])
def test_both_values_of_alpha_side_by_side(world: Any, kind: str, shape: tuple[int, ...]) -> None:
    prior, _ = world.pair(kind)
    batch, q = world.with_gaps(world.batch(2, 3)), normal(*shape)
    found = branches(prior, q.to_event(1), q.mean, batch)
    assert found is not None
    torch.testing.assert_close(found.prior.mean, prior.alpha_prior(batch).mean)
    for alpha, component in enumerate((prior.visual_component(batch), prior.audio_component(batch))):
        mine = q if len(shape) == 3 else dist.Normal(q.loc[alpha], q.scale[alpha])
        torch.testing.assert_close(found.divergence[alpha], divergence(mine, *component))
    assert found.latent.z.shape == shape
    assert found.latent.alpha is None


def test_alpha_comes_along_only_where_it_has_a_say(world: Any) -> None:
    batch, q = world.batch(2, 3), normal(2, 3, LATENT)
    found = branches(Labelled(), q.to_event(1), q.mean, batch)
    assert found is not None
    assert torch.equal(found.latent.z, q.mean)
    assert found.latent.alpha is not None
    assert found.latent.alpha.tolist() == [[[0.0]], [[1.0]]]
    assert branches(AudioVAE(LATENT).double(), q.to_event(1), q.mean, batch) is None


def test_the_latent_at_known_sites(world: Any) -> None:
    batch, z = world.batch(2, 3), torch.randn(2, 3, LATENT, dtype=torch.float64)
    alpha = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    latent = latent_at(Labelled(), batch, alpha=alpha, z=z)
    assert torch.equal(latent.z, z)
    assert latent.alpha is alpha
    # many draws at once, and names that the story lacks
    draws = torch.randn(5, 2, 3, LATENT, dtype=torch.float64)
    plain = AudioVAE(LATENT, SpectrumDecoder(LATENT, 4, 5)).double()
    assert torch.equal(latent_at(plain, batch, z=draws, alpha=alpha).z, draws)


def test_asking_leaves_no_trace_and_draws_nothing(world: Any) -> None:
    prior, _ = world.pair("conditional")
    batch, q = world.batch(2, 3), normal(2, 3, LATENT)

    def asks() -> None:
        branches(prior, q.to_event(1), q.mean, batch)
        latent_at(prior, batch, alpha=torch.zeros(2, 3, dtype=torch.float64), z=q.mean)

    state = torch.get_rng_state()
    assert not poutine.trace(asks).get_trace().stochastic_nodes
    assert torch.equal(state, torch.get_rng_state())


def test_q_of_alpha_is_the_prior_tilted_by_what_is_told(world: Any) -> None:
    batch = world.with_gaps(world.batch(2, 3))
    odds, evidence = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    found: Any = alpha_posterior(dist.Bernoulli(logits=odds), evidence, batch)
    expected = torch.where(batch.mouth_seen, odds + evidence, 30.0)
    torch.testing.assert_close(found.logits, expected)
    assert alpha_posterior(dist.Bernoulli(logits=odds), 1e9 * evidence.sign(), batch).logits.abs().max() == 30


def test_q_of_alpha_of_a_chain_by_adding_up_every_path(world: Any) -> None:
    batch, evidence = world.batch(1, 3), torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
    after_zero, after_one = torch.randn(2, 1, 3, dtype=torch.float64)
    paths = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3)
    before = torch.nn.functional.pad(paths[:, :-1], (1, 0))  # the frame before the first counts as 0
    odds = torch.where(before == 1, after_one, after_zero)
    share = (dist.Bernoulli(logits=odds).log_prob(paths) + paths * evidence).sum(1).softmax(0)
    found = alpha_posterior(BinaryMarkovChain(after_zero, after_one), evidence, batch)
    torch.testing.assert_close(found.mean[0], share @ paths)
