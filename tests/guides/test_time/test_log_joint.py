"""The log-joint against Pyro's own trace of the mixture, sums over every path of alpha, and q(alpha) of particles."""

import itertools
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor

from minvae_pyro.guides import MeanFieldGuide, MixtureUtteranceGuide, ParticleGuide
from minvae_pyro.guides.test_time.log_joint import log_joint
from minvae_pyro.inference.engine import draw_latents
from minvae_pyro.models import (
    AudioVAE,
    BayesianNMFNoise,
    ConditionalMinVAE,
    DeepKalmanFilter,
    MixtureOfVAEs,
    NoisyMixture,
    SpeechPrior,
    StationaryNoise,
    SwitchingVAE,
)
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.handlers import condition_alpha
from minvae_pyro.probability.markov import BinaryMarkovChain
from minvae_pyro.utterances import Utterances

LATENT, FREQUENCIES, FRAMES = 2, 5, 4


def vae() -> AudioVAE:
    return AudioVAE(LATENT, SpectrumDecoder(LATENT, 4, FREQUENCIES))


def prior_of(kind: str) -> SpeechPrior:
    prior: SpeechPrior
    if kind == "mixture":
        prior = ConditionalMinVAE(LATENT, MouthPerceptron((4, 4), LATENT))
        prior.decoder = SpectrumDecoder(LATENT, 4, FREQUENCIES)
    elif kind == "dynamics":
        prior = DeepKalmanFilter(LATENT, decoder=SpectrumDecoder(LATENT, 4, FREQUENCIES))
    elif kind == "plain":
        prior = vae()
    else:
        prior = {"two": MixtureOfVAEs, "chain": SwitchingVAE}[kind](vae(), vae())
    generator = torch.Generator().manual_seed(2)
    for parameter in prior.parameters():
        parameter.data = parameter.data + 0.5 * torch.randn(parameter.shape, generator=generator)
    return prior.double()


KINDS = ["plain", "mixture", "two", "chain", "dynamics"]


@pytest.fixture
def batch() -> Utterances:
    parts = torch.randn(2, 2, FRAMES, FREQUENCIES, dtype=torch.float64)
    found = Utterances.from_spectrum(torch.complex(*parts), torch.rand(2, FRAMES, 67, 67, dtype=torch.float64))
    found.mask[1, -1] = found.mouth_seen[1, -1] = found.mouth_seen[0, 1] = False
    return found


def mixture_of(kind: str, batch: Utterances, noise: Any = None) -> NoisyMixture:
    started = (noise or StationaryNoise()).start(batch)
    return NoisyMixture(prior_of(kind).condition_on(batch), started, torch.full((2, 1, 1), 1.3, dtype=torch.float64))


def traced(mixture: NoisyMixture, batch: Utterances, **known: Tensor) -> Tensor:
    """log p(x, z, alpha) of each frame by Pyro, (B, N)."""
    with pyro.validation_enabled(False):
        trace: Any = poutine.trace(poutine.condition(mixture, data=known)).get_trace(batch)
        trace.compute_log_prob()
    return sum(trace.nodes[name]["log_prob"] for name in ("x", *known) if name in trace.nodes)


def with_alpha(mixture: NoisyMixture) -> bool:
    return hasattr(mixture.speech, "alpha_prior")


@pytest.mark.parametrize("kind", KINDS)
def test_the_total_sums_pyros_own_joint_over_every_path_of_alpha(kind: str, batch: Utterances) -> None:
    mixture = mixture_of(kind, batch, BayesianNMFNoise(2))
    z = torch.randn(3, 2, FRAMES, LATENT, dtype=torch.float64)
    total = log_joint(mixture, z, batch).total()
    for s in range(3):
        if with_alpha(mixture):
            paths = [
                traced(mixture, batch, z=z[s], alpha=torch.tensor(path).double().expand(2, FRAMES))
                for path in itertools.product((0.0, 1.0), repeat=FRAMES)
            ]
            # paths that differ in padding alone count once: the second recording has one padded frame
            expected = torch.stack(paths).sum(-1).logsumexp(0) - torch.tensor([1.0, 2.0]).double().log()
        else:
            expected = traced(mixture, batch, z=z[s]).sum(-1)
        torch.testing.assert_close(total[s], expected, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("kind", ["mixture", "two", "chain"])
def test_the_posterior_of_alpha_is_that_of_every_path(kind: str, batch: Utterances) -> None:
    mixture = mixture_of(kind, batch)
    z = torch.randn(2, 2, FRAMES, LATENT, dtype=torch.float64)
    found: Any = log_joint(mixture, z, batch).posterior()
    paths = list(itertools.product((0.0, 1.0), repeat=FRAMES))
    for s in range(2):
        logs = torch.stack(
            [traced(mixture, batch, z=z[s], alpha=torch.tensor(p).double().expand(2, FRAMES)) for p in paths]
        )
        weight = logs.sum(-1).softmax(0)
        expected = torch.einsum("pb,pn->bn", weight, torch.tensor(paths).double())
        torch.testing.assert_close(found.mean[s][batch.mask], expected[batch.mask], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("kind", ["mixture", "chain"])
def test_a_held_q_of_alpha_weighs_both_branches(kind: str, batch: Utterances) -> None:
    mixture = mixture_of(kind, batch)
    z = torch.randn(1, 2, FRAMES, LATENT, dtype=torch.float64)
    held = dist.Bernoulli(logits=torch.randn(2, FRAMES, dtype=torch.float64))
    joint = log_joint(mixture, z, batch)
    paths = list(itertools.product((0.0, 1.0), repeat=FRAMES))
    expected = torch.zeros(2, dtype=torch.float64)
    for path in paths:
        alpha = torch.tensor(path).double().expand(2, FRAMES)
        probability = (held.log_prob(alpha) * batch.mask).sum(-1)
        inside = traced(mixture, batch, z=z[0], alpha=alpha).sum(-1) - probability
        padded = torch.tensor([0.0, 1.0]).double()  # paths that differ in padding alone count once
        expected += probability.exp() * inside * 0.5**padded
    torch.testing.assert_close(joint.total(held)[0], expected, rtol=1e-9, atol=1e-9)


def test_known_alpha_leaves_one_branch(batch: Utterances) -> None:
    mixture = mixture_of("two", batch)
    z = torch.randn(1, 2, FRAMES, LATENT, dtype=torch.float64)
    for value in (0, 1):
        with condition_alpha(value):
            joint = log_joint(mixture, z, batch)
        torch.testing.assert_close(joint.frames()[0], joint.terms[0, value], rtol=0, atol=1e-9)


def test_the_average_of_chains_keeps_their_pairs() -> None:
    logits = torch.randn(2, 3, 2, 6, dtype=torch.float64)
    chains = BinaryMarkovChain(*logits)
    mean = chains.averaged()
    assert mean.batch_shape == (2, 6)
    torch.testing.assert_close(mean.pairs, chains.pairs.mean(2))
    torch.testing.assert_close(mean.mean, chains.mean.mean(0))
    torch.testing.assert_close(BinaryMarkovChain(*logits[:, :1]).averaged().mean, chains.mean[0])


@pytest.mark.parametrize("kind", ["mixture", "two", "chain"])
def test_q_of_alpha_is_the_mean_over_particles(kind: str, batch: Utterances) -> None:
    mixture = mixture_of(kind, batch)
    begin = torch.randn(2, FRAMES, LATENT, dtype=torch.float64), torch.ones(2, FRAMES, LATENT, dtype=torch.float64)
    guide = ParticleGuide(3).start(mixture.speech, batch, begin)
    torch.testing.assert_close(guide.draw(1)["z"], begin[0].expand(3, -1, -1, -1))
    guide.set_particles(torch.randn(3, 2, FRAMES, LATENT, dtype=torch.float64))
    assert guide.update_alpha(mixture, batch)
    each = log_joint(mixture, guide.draw(1)["z"], batch).posterior().mean
    assert each.std(0).max() > 0.01
    torch.testing.assert_close(guide.responsibility, each.mean(0), rtol=1e-9, atol=1e-12)
    latent, weight = draw_latents(mixture.speech, guide, batch, 1)
    if kind == "mixture":
        assert weight is None
        assert len(latent.z) == 3
    else:
        assert weight is not None
        torch.testing.assert_close(weight, torch.stack([1 - each, each], 1) / 3)
        assert latent.z.shape == (3, 2, 2, FRAMES, LATENT)
        assert latent.alpha.flatten().tolist() == [0.0, 1.0]


def test_particles_start_where_another_guide_stands(batch: Utterances) -> None:
    mixture = mixture_of("two", batch)
    begin = torch.randn(2, FRAMES, LATENT, dtype=torch.float64), torch.ones(2, FRAMES, LATENT, dtype=torch.float64)
    plain = MeanFieldGuide().start(mixture.speech, batch, begin)
    torch.testing.assert_close(ParticleGuide.around(plain, 2).heads, begin[0].expand(2, -1, -1, -1))
    both = MixtureUtteranceGuide().start(mixture.speech, batch, begin)
    both.mean.data = torch.stack([begin[0], -begin[0]])
    both.alpha = dist.Bernoulli(probs=torch.full((2, FRAMES), 0.7, dtype=torch.float64))
    found = ParticleGuide.around(both, 10)
    torch.testing.assert_close(
        found.heads, torch.cat([-begin[0].expand(7, -1, -1, -1), begin[0].expand(3, -1, -1, -1)])
    )
    torch.testing.assert_close(ParticleGuide.around(both, 1).heads[0], -begin[0])
    assert ParticleGuide.around(found, 3) is found
    assert found.held is None
    given = MeanFieldGuide().start(mixture.speech, batch, begin, log_odds=torch.ones(2, FRAMES).double())
    assert ParticleGuide.around(given, 1).held is given.alpha


def test_a_posterior_without_particles_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 of chains"):
        ParticleGuide(0)
