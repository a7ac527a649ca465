"""Guides at test time for priors that choose between two VAEs."""

import itertools
import math
from typing import Any

import pytest
import torch

from minvae_pyro.guides import MixtureUtteranceGuide, PatientMixtureGuide, PointGuide
from minvae_pyro.inference import FastVariational, StochasticVariational, VariationalEM
from minvae_pyro.models import (
    AudioVAE,
    ConditionalVAE,
    FixedMarkovAlphaPrior,
    Latent,
    MixtureOfVAEs,
    MouthFeatures,
    NMFNoise,
    NoisyMixture,
    SwitchingVAE,
)
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.nn.audio_visual import ConcatenatingDecoder, FeaturePerceptron
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.markov import BinaryMarkovChain
from minvae_pyro.utterances import Utterances

L, F, V = 3, 5, 2


def two_vaes() -> tuple[AudioVAE, ConditionalVAE]:
    audio = AudioVAE(L, SpectrumDecoder(L, 4, F))
    visual = ConditionalVAE(
        L, MouthFeatures(MouthPerceptron((3, 3), V)), ConcatenatingDecoder(L, V, 4, F), FeaturePerceptron(V, 4, L)
    )
    return audio, visual


def somewhere(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(*shape, L, dtype=torch.float64), 0.2 + torch.rand(*shape, L, dtype=torch.float64)


def test_alpha_of_a_chain_is_weighed_over_all_assignments(world: Any) -> None:
    prior = SwitchingVAE(*two_vaes(), FixedMarkovAlphaPrior(0.8, 0.7, 0.4)).double()
    batch = world.batch(2, 4)
    point = somewhere(2, 4)
    guide = PointGuide().start(prior, batch, point)
    assert guide.update_alpha(prior, batch)
    assert isinstance(guide.alpha, BinaryMarkovChain)
    # of each VAE: log p(s, z) at the point
    told = []
    for part in (prior.visual, prior.audio):
        likelihood = part.likelihood(Latent(point[0]), batch).log_prob(batch.spectrum)
        told.append(likelihood + part.z_prior(batch).log_prob(point[0]))
    evidence = (told[1] - told[0]).detach().clamp(-30, 30)
    rows = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)[:, None].expand(-1, 2, -1)
    joint = (prior.alpha_prior(batch).log_prob(rows) + rows * evidence).sum(-1)
    posterior = (joint - joint.logsumexp(0)).exp()
    torch.testing.assert_close(guide.responsibility, (posterior[..., None] * rows).sum(0))


@pytest.mark.parametrize("kind", [MixtureOfVAEs, SwitchingVAE])
def test_patience_waits_and_then_chooses_as_the_others_do(world: Any, kind: Any) -> None:
    prior = kind(*two_vaes()).double()
    batch = world.with_gaps(world.batch(2, 4))
    begin = somewhere(2, 4)
    patient, prompt = PatientMixtureGuide(0.5), MixtureUtteranceGuide()
    one, other = (guide.start(prior, batch, begin) for guide in (patient, prompt))
    believed = prior.alpha_prior(batch).mean
    for done in (0.0, 0.3, 0.49):
        assert not one.update_alpha(prior, batch, done)
        torch.testing.assert_close(one.responsibility, believed)
    torch.manual_seed(1)
    assert one.update_alpha(prior, batch, 0.5)
    torch.manual_seed(1)
    assert other.update_alpha(prior, batch, 0.0)
    torch.testing.assert_close(one.responsibility, other.responsibility)
    assert (one.responsibility - believed).abs().max() > 0.01


@pytest.mark.parametrize("engine", [StochasticVariational, VariationalEM, FastVariational])
@pytest.mark.parametrize("iterations", [4, 10, 30])
def test_patience_is_a_share_of_the_run_of_any_engine(world: Any, engine: Any, iterations: int) -> None:
    prior = MixtureOfVAEs(*two_vaes()).double()
    spectrum = torch.randn(2, 3, F, dtype=torch.complex128)
    batch = Utterances.from_spectrum(spectrum, torch.rand(2, 3, 67, 67, dtype=torch.float64))
    given = prior.condition_on(batch)
    mixture = NoisyMixture(given, NMFNoise(2).start(batch), torch.ones(2, 1, 1, dtype=torch.float64))
    guide = PatientMixtureGuide(0.5).start(given, batch, somewhere(2, 3))
    believed = guide.responsibility
    chosen = []

    def look(iteration: int, most: int, objective: float) -> None:
        chosen.append(not torch.equal(guide.responsibility, believed))

    # so great a tolerance that the engine would stop as soon as it may
    objective = engine(iterations=iterations, tolerance=1e6)(mixture, guide, batch, callback=look)
    first = math.ceil(iterations / 2)
    assert chosen == [number >= first for number in range(1, len(objective) + 1)]
    assert len(objective) == min(iterations, max(first, 10))


def test_patience_that_is_no_share_is_refused() -> None:
    for patience in (-0.1, 1.1, 40, math.nan):
        with pytest.raises(ValueError, match="share of an engine's run"):
            PatientMixtureGuide(patience)
