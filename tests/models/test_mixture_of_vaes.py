"""VAE-MM and SwVAE tell the story that their docstrings draw, and fall back to their parts."""

import itertools
from collections.abc import Callable

import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor
from torch.nn.functional import logsigmoid

from minvae_pyro.errors import UserError
from minvae_pyro.models import (
    AudioVAE,
    ConditionalVAE,
    FixedAlphaPrior,
    FixedMarkovAlphaPrior,
    LearntMarkovAlphaPrior,
    MixtureOfVAEs,
    MouthFeatures,
    SpeechPrior,
    SwitchingVAE,
    UtteranceAlphaPrior,
    UtteranceMarkovAlphaPrior,
)
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.nn.audio_visual import ConcatenatingDecoder, FeaturePerceptron
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.markov import BinaryMarkovChain
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.utterances import Utterances

LATENT, FREQUENCIES = 3, 4


def scattered(prior: SpeechPrior) -> SpeechPrior:
    for parameter in prior.parameters():
        parameter.data = parameter.data + 0.3 * torch.randn_like(parameter.data)
    return prior.double()


def audio() -> SpeechPrior:
    return scattered(AudioVAE(LATENT, SpectrumDecoder(LATENT, 4, FREQUENCIES)))


def visual() -> SpeechPrior:
    return scattered(
        ConditionalVAE(
            LATENT,
            MouthFeatures(MouthPerceptron((3, 3), 2)),
            ConcatenatingDecoder(LATENT, 2, 4, FREQUENCIES),
            FeaturePerceptron(2, 4, LATENT),
        )
    )


PRIORS: dict[str, Callable[[], MixtureOfVAEs]] = {
    "mixture": lambda: MixtureOfVAEs(audio(), visual()).double(),
    "switching": lambda: SwitchingVAE(audio(), visual(), LearntMarkovAlphaPrior(0.8, 0.7, 0.4)).double(),
}


def utterances(size: int = 2, frames: int = 4, complex_values: bool = False) -> Utterances:
    spectrum = torch.randn(size, frames, FREQUENCIES, dtype=torch.complex128)
    mouth = torch.rand(size, frames, 67, 67, dtype=torch.float64)
    return Utterances.from_spectrum(spectrum if complex_values else spectrum.abs().square(), mouth)


def sites_of(prior: SpeechPrior, batch: Utterances, **values: Tensor) -> dict[str, dict]:
    trace = poutine.trace(poutine.condition(prior, data=values)).get_trace(batch)
    # p(alpha) of a chain has no terms of single frames that could be enumerated
    trace.compute_log_prob(lambda name, site: name != "alpha" or site["value"].shape == batch.mask.shape)
    return trace.nodes


@pytest.mark.parametrize("complex_values", [False, True])
@pytest.mark.parametrize("shape", [(2, 2), (1, 1), (3, 5)])
@pytest.mark.parametrize("name", PRIORS)
def test_each_frame_is_told_by_the_vae_that_alpha_names(
    name: str, shape: tuple[int, int], complex_values: bool
) -> None:
    prior, batch = PRIORS[name](), utterances(*shape, complex_values)
    batch.mask[-1, -1] = False
    nodes = sites_of(prior, batch)
    alpha, z = nodes["alpha"]["value"], nodes["z"]["value"]
    assert alpha.shape == shape
    assert z.shape == (*shape, LATENT)
    of_audio, of_visual = (sites_of(part, batch, z=z) for part in (prior.audio, prior.visual))
    for site in ("z", "s"):
        for frame in itertools.product(*map(range, shape)):
            told_by = of_audio if alpha[frame] == 1 else of_visual
            torch.testing.assert_close(nodes[site]["log_prob"][frame], told_by[site]["log_prob"][frame])


@pytest.mark.parametrize("name", PRIORS)
def test_enumerated_alpha_lays_both_vaes_side_by_side(name: str) -> None:
    prior, batch = PRIORS[name](), utterances(2, 2)
    alpha = torch.tensor([0.0, 1.0], dtype=torch.float64)[:, None, None]
    z = torch.randn(2, 2, 2, LATENT, dtype=torch.float64)
    nodes = sites_of(prior, batch, alpha=alpha, z=z)
    of_visual, of_audio = (
        sites_of(part, batch, z=row) for part, row in zip((prior.visual, prior.audio), z, strict=True)
    )
    for site in ("z", "s"):
        expected = torch.stack([of_visual[site]["log_prob"], of_audio[site]["log_prob"]])
        torch.testing.assert_close(nodes[site]["log_prob"], expected)


@pytest.mark.parametrize("name", PRIORS)
def test_without_a_mouth_it_is_the_audio_vae(name: str) -> None:
    prior, batch = PRIORS[name](), utterances().without_mouth()
    nodes = sites_of(prior, batch)
    assert (nodes["alpha"]["value"] == 1).all()
    assert nodes["alpha"]["log_prob"].abs().max() < 1e-12
    plain = sites_of(prior.audio, batch, z=nodes["z"]["value"])
    torch.testing.assert_close(nodes["s"]["log_prob"], plain["s"]["log_prob"])


@pytest.mark.parametrize("name", PRIORS)
def test_given_utterances_it_asks_no_network_on_the_mouth_and_says_the_same(name: str) -> None:
    prior, batch = PRIORS[name](), utterances()
    batch.mouth_seen[0, 1] = False
    ready = prior.condition_on(batch)
    blind = batch.replace(mouth=torch.full_like(batch.mouth, torch.nan))
    alpha = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]], dtype=torch.float64)
    z = torch.randn(2, 4, LATENT, dtype=torch.float64)
    for site in ("alpha", "z", "s"):
        expected = sites_of(prior, batch, alpha=alpha, z=z)[site]["log_prob"]
        torch.testing.assert_close(sites_of(ready, blind, alpha=alpha, z=z)[site]["log_prob"], expected)
    assert prior.visual is not ready.visual
    assert prior.audio is ready.audio


def test_parts_that_have_run_may_be_put_together_and_run_locally() -> None:
    parts, batch = (audio(), visual()), utterances()
    with local_parameters(*parts):
        for part in parts:
            part(batch)
    prior = MixtureOfVAEs(*parts).double()
    with local_parameters(prior):
        prior(batch)
        prior.condition_on(batch)(batch)


def test_latents_of_two_sizes_do_not_mix() -> None:
    with pytest.raises(UserError, match="one size, not 3 and 2"):
        MixtureOfVAEs(audio(), AudioVAE(2))


def test_pi_becomes_the_mean_responsibility() -> None:
    prior, batch = PRIORS["mixture"](), utterances()
    batch.mouth_seen[0, 3] = False
    q = dist.Bernoulli(torch.rand(2, 4, dtype=torch.float64))
    prior.m_step(q, batch)
    torch.testing.assert_close(prior.alpha_prior(batch).mean[1], torch.full((4,), 0.5, dtype=torch.float64))
    own = prior.condition_on(batch)
    assert isinstance(own.alpha_prior, UtteranceAlphaPrior)
    own.m_step(q, batch)
    expected = torch.stack([q.mean[0, :3].mean(), q.mean[1].mean()])
    torch.testing.assert_close(own.alpha_prior(batch).mean[:, 0], expected)
    assert own.alpha_prior(batch).mean[0, 3] > 1 - 1e-12


def test_the_chain_is_the_one_that_was_asked_for() -> None:
    prior, batch = SwitchingVAE(audio(), visual(), FixedMarkovAlphaPrior(0.8, 0.7, 0.4)).double(), utterances(1, 3)
    for row in itertools.product([0.0, 1.0], repeat=3):
        alpha = torch.tensor([row], dtype=torch.float64)
        expected = 0.4 if row[0] else 0.6
        for before, now in itertools.pairwise(row):
            expected *= (0.8 if now else 0.2) if before else (0.3 if now else 0.7)
        found = sites_of(prior, batch, alpha=alpha)["alpha"]["log_prob"].sum().exp()
        assert found.item() == pytest.approx(expected)


def test_a_chain_of_halves_is_a_mixture_of_halves() -> None:
    parts, batch = (audio(), visual()), utterances()
    batch.mouth_seen[1, 2] = False
    switching = SwitchingVAE(*parts, FixedMarkovAlphaPrior(0.5, 0.5, 0.5)).double()
    mixture = MixtureOfVAEs(*parts, FixedAlphaPrior(0.5)).double()
    nodes = sites_of(switching, batch)
    values = {site: nodes[site]["value"] for site in ("alpha", "z")}
    expected = sites_of(mixture, batch, **values)
    for site in ("alpha", "z", "s"):
        torch.testing.assert_close(nodes[site]["log_prob"], expected[site]["log_prob"])


@pytest.mark.parametrize("alpha", [0, 1])
def test_a_sure_chain_is_its_one_vae(alpha: int) -> None:
    batch = utterances()
    sure = 1e-13
    chain = FixedMarkovAlphaPrior(1 - sure, sure, 1 - sure) if alpha else FixedMarkovAlphaPrior(sure, 1 - sure, sure)
    prior = SwitchingVAE(audio(), visual(), chain).double()
    nodes = sites_of(prior, batch)
    assert (nodes["alpha"]["value"] == alpha).all()
    assert nodes["alpha"]["log_prob"].abs().max() < 1e-11
    plain = sites_of(prior.audio if alpha else prior.visual, batch, z=nodes["z"]["value"])
    for site in ("z", "s"):
        torch.testing.assert_close(nodes[site]["log_prob"], plain[site]["log_prob"])


def test_the_chain_remembers() -> None:
    prior = SwitchingVAE(audio(), visual(), FixedMarkovAlphaPrior(0.95, 0.9, 0.5)).double()
    alpha = sites_of(prior, utterances(20, 400))["alpha"]["value"]
    before, now = alpha[:, :-1], alpha[:, 1:]
    assert now[before == 1].mean().item() == pytest.approx(0.95, abs=0.01)
    assert now[before == 0].mean().item() == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize("independent", [False, True])
def test_transitions_become_those_of_the_pairs_that_show_a_mouth(independent: bool) -> None:
    prior, batch = PRIORS["switching"](), utterances(2, 5)
    batch.mouth_seen[0, 2] = False
    batch.mask[1, 4] = False
    logits = torch.randn(2, 2, 5, dtype=torch.float64)
    q = dist.Bernoulli(logits=logits[0]) if independent else BinaryMarkovChain(*logits)
    before = [prior.alpha_prior.after_visual.item(), prior.alpha_prior.after_audio.item()]
    prior.m_step(q, batch)
    assert [prior.alpha_prior.after_visual.item(), prior.alpha_prior.after_audio.item()] == before
    own = prior.condition_on(batch)
    assert isinstance(own.alpha_prior, UtteranceMarkovAlphaPrior)
    own.m_step(q, batch)
    pairs = [[(0, 1), (3, 4)], [(0, 1), (1, 2), (2, 3)]]
    for row in range(2):
        counts = torch.zeros(2, 2, dtype=torch.float64)
        for assignment in itertools.product([0, 1], repeat=5):
            value = torch.tensor(assignment, dtype=torch.float64).expand(2, 5)
            weight = q.log_prob(value)[row].sum().exp()
            for first, second in pairs[row]:
                counts[assignment[first], assignment[second]] += weight
        torch.testing.assert_close(own.alpha_prior.after_visual[row, 0].sigmoid(), counts[0, 1] / counts[0].sum())
        torch.testing.assert_close(own.alpha_prior.after_audio[row, 0].sigmoid(), counts[1, 1] / counts[1].sum())
    torch.testing.assert_close(own.alpha_prior.start, prior.alpha_prior.start.detach().expand(2, 1))


def test_where_nothing_was_seen_twice_in_a_row_the_chain_stays_as_it_was() -> None:
    prior, batch = PRIORS["switching"](), utterances(1, 4)
    batch.mouth_seen[0, 1::2] = False
    own = prior.condition_on(batch)
    own.m_step(prior.alpha_prior(batch), batch)
    torch.testing.assert_close(own.alpha_prior.after_audio[0, 0], prior.alpha_prior.after_audio.detach())
    torch.testing.assert_close(own.alpha_prior.after_visual[0, 0], prior.alpha_prior.after_visual.detach())


def test_padding_and_frames_without_a_mouth_are_the_sounds_and_break_the_chain() -> None:
    prior, batch = PRIORS["switching"](), utterances(1, 6)
    batch.mask[0, 5] = False
    batch.mouth_seen[0, 2] = False
    chain = prior.alpha_prior(batch)
    assert (chain.mean[0, [2, 5]] > 1 - 1e-12).all()
    evidence = torch.zeros(1, 6, dtype=torch.float64)
    loud = evidence.clone()
    loud[0, [2, 3, 4, 5]] = 25.0
    torch.testing.assert_close(chain.tilted(loud).mean[0, :2], chain.tilted(evidence).mean[0, :2])
    torch.testing.assert_close(logsigmoid(chain.logits[0, 3]), logsigmoid(prior.alpha_prior.after_audio))
