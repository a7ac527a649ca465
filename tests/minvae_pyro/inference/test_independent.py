"""Overlapping frames count for a share: the likelihood to a power, whatever the engine."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from minvae_pyro.errors import UserError
from minvae_pyro.guides.test_time.log_joint import latent_joint, log_joint
from minvae_pyro.inference import infer
from minvae_pyro.inference.beginning import FAMILIAR, familiar
from minvae_pyro.inference.fast import CompiledBound, compiled
from minvae_pyro.inference.settings import ENGINES, Settings
from minvae_pyro.models import Latent
from minvae_pyro.utterances import Utterances


def counted(batch: Utterances, share: float) -> Utterances:
    return batch.replace(independent=torch.full((len(batch), 1), share, dtype=torch.float64))


def test_the_likelihood_is_a_share_of_what_it_was(noisy: Any) -> None:
    batch, prior = noisy.batch(), noisy.prior(mixture=False)
    mixture = noisy.mixture(batch, prior)
    latent = Latent(torch.randn(*batch.mask.shape, prior.latent_dim, dtype=torch.float64))
    whole = mixture.likelihood(latent, batch).log_prob(batch.spectrum)
    share = mixture.likelihood(latent, counted(batch, 0.3)).log_prob(batch.spectrum)
    torch.testing.assert_close(share, 0.3 * whole)


@pytest.mark.parametrize("holes", [False, True])
def test_the_fast_bound_is_the_share_of_the_likelihood_less_the_whole_divergence(noisy: Any, holes: bool) -> None:
    batch = noisy.batch()
    if holes:
        seeded = torch.Generator().manual_seed(1)
        batch = batch.replace(observed=torch.rand(batch.spectrum.shape, generator=seeded) > 0.3)
    checkpoint = noisy.checkpoint(mixture=False)
    few = {"class_path": "FastVariational", "init_args": {"iterations": 2}}
    found = infer(checkpoint, batch, engine=few)
    values = []
    for share in (1.0, 0.5, 0.25):
        one = counted(batch, share)
        parts = compiled(found.mixture, found.guide, one)
        assert parts is not None
        bound = CompiledBound(found.mixture, found.guide, one, parts)
        torch.manual_seed(0)
        values.append(bound.step(found.mixture.noise(batch), bound.weight).value + bound.rest())
    whole, half, quarter = values
    # linear in the share, and what is left without a likelihood is the divergence
    torch.testing.assert_close(half - quarter, (whole - half) / 2)
    posterior = found.guide.z_posterior().base_dist
    normal = torch.distributions.Normal(torch.zeros_like(posterior.loc), torch.ones_like(posterior.scale))
    divergence = (torch.distributions.kl_divergence(posterior, normal).sum(-1) * batch.mask).sum()
    torch.testing.assert_close(2 * quarter - half, -divergence.detach() + found.mixture.noise.log_prior(batch).sum())


def test_engines_that_sample_or_climb_have_the_share_too(noisy: Any) -> None:
    batch, prior = noisy.batch(), noisy.prior(mixture=False)
    mixture = noisy.mixture(batch, prior)
    z = torch.randn(3, *batch.mask.shape, prior.latent_dim, dtype=torch.float64)
    alone = latent_joint(mixture, z, batch).terms
    whole, half = (log_joint(mixture, z, counted(batch, share)).terms - alone for share in (1.0, 0.5))
    torch.testing.assert_close(half, whole / 2)


@pytest.mark.parametrize("name", ["fast", "svi", "vem"])
def test_next_to_no_share_leaves_the_prior(name: str, few: Any, noisy: Any) -> None:
    batch, checkpoint = noisy.batch(), noisy.checkpoint(mixture=False)
    engine = replace(few(name), iterations=25, steps=4, learning_rate=0.1)
    found = infer(checkpoint, batch, engine=engine, independent=1e-6)
    posterior = found.guide.z_posterior().base_dist
    torch.testing.assert_close(posterior.loc, torch.zeros_like(posterior.loc), atol=0.1, rtol=0)
    torch.testing.assert_close(posterior.scale, torch.ones_like(posterior.scale), atol=0.1, rtol=0)


@pytest.mark.parametrize("name", ENGINES)
def test_noise_and_gain_are_fitted_alike_where_z_says_nothing(name: str, few: Any, noisy: Any) -> None:
    # a decoder that does not listen to z: the share cancels in the M-step
    batch, checkpoint = noisy.batch(), noisy.checkpoint(mixture=False)
    with torch.no_grad():
        for parameter in checkpoint.prior.decoder.parameters():
            if parameter.dim() > 1:
                parameter.zero_()
    found = [infer(checkpoint, batch, engine=few(name), independent=share) for share in (1.0, 0.4)]
    torch.testing.assert_close(found[1].mixture.gain, found[0].mixture.gain)
    torch.testing.assert_close(found[1].mixture.noise(batch), found[0].mixture.noise(batch))


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_is_one(share: float) -> None:
    with pytest.raises(UserError, match="independent"):
        Settings(independent=share)


def test_a_recording_that_is_trusted_keeps_its_log_odds_and_a_foreign_one_is_trusted_less() -> None:
    batch = Utterances.from_spectrum(torch.rand(3, 4, 5, dtype=torch.float64), torch.rand(3, 4, 67, 67))
    trust = torch.tensor([[0.9, 0.2, 0.3, 0.4], [0.3, 0.01, 0.01, 0.08], [0.9, 0.9, 0.0, 0.0]], dtype=torch.float64)
    # of the third the last two frames do not count
    batch.mouth_seen[2, 2:] = False
    logits = -torch.logit(trust.clamp_min(1e-12))
    found = 1 - familiar(logits, batch).sigmoid()
    assert familiar(logits, batch)[[0, 2]].equal(logits[[0, 2]])
    torch.testing.assert_close(found[1], trust[1] * 0.1 / FAMILIAR)
