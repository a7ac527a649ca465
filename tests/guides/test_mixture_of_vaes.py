"""VAE-MM and SwVAE in training: the loss against one written by hand, and against all assignments of a chain."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from minvae_pyro.guides import (
    AudioGuide,
    AudioVisualGuide,
    CollapsedResponsibility,
    FixedResponsibility,
    NoisyAudioEncoder,
    TwoVAEsGuide,
)
from minvae_pyro.models import (
    AudioVAE,
    ConditionalVAE,
    FixedAlphaPrior,
    FixedMarkovAlphaPrior,
    LearntAlphaPrior,
    LearntMarkovAlphaPrior,
    MixtureOfVAEs,
    MouthFeatures,
    SwitchingVAE,
)
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.nn.audio import SpectrumDecoder, SpectrumEncoder
from minvae_pyro.nn.audio_visual import ConcatenatingDecoder, ConcatenatingEncoder, FeaturePerceptron
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.utterances import Utterances

SEED, L, F, V = 11, 3, 5, 2
RULES = {"collapsed": CollapsedResponsibility, "fixed": lambda: FixedResponsibility(0.2)}


def pair(mixing: torch.nn.Module, rule: str = "collapsed") -> tuple[MixtureOfVAEs, TwoVAEsGuide]:
    """A-VAE and AV-CVAE with tiny networks and random weights; ``mixing`` decides for VAE-MM or SwVAE."""
    audio = AudioVAE(L, SpectrumDecoder(L, 4, F))
    visual = ConditionalVAE(
        L, MouthFeatures(MouthPerceptron((3, 3), V)), ConcatenatingDecoder(L, V, 4, F), FeaturePerceptron(V, 4, L)
    )
    kind = MixtureOfVAEs if isinstance(mixing, LearntAlphaPrior | FixedAlphaPrior) else SwitchingVAE
    prior = kind(audio, visual, mixing).double()
    guide = TwoVAEsGuide(
        prior, NoisyAudioEncoder(SpectrumEncoder(F, 4, L)), ConcatenatingEncoder(F, V, 4, L), RULES[rule]()
    ).double()
    for parameter in (*prior.parameters(), *guide.parameters()):
        parameter.data = parameter.data + 0.3 * torch.randn_like(parameter.data)
    return prior, guide


def pyro_loss(model: Any, guide: Any, batch: Utterances) -> Tensor:
    torch.manual_seed(SEED)
    with local_parameters(model, guide):
        return AnalyticTraceEnum_ELBO(max_plate_nesting=2).differentiable_loss(model, guide, batch)


def bound(prior: Any, q: tuple[Tensor, Tensor], noise: Tensor, batch: Utterances) -> Tensor:
    """E_q log p(s | z) at a draw, minus KL(q || p(z)), (B, N), of one VAE by itself."""
    mean, scale = q
    variance = prior.speech_variance(Latent(mean + scale * noise), batch)
    likelihood = -(variance.log() + batch.power / variance).sum(-1)
    p = prior.z_prior(batch).base_dist
    ratio = (scale / p.scale) ** 2
    return likelihood - 0.5 * (ratio + ((mean - p.loc) / p.scale) ** 2 - 1 - ratio.log()).sum(-1)


def bounds(prior: MixtureOfVAEs, guide: TwoVAEsGuide, batch: Utterances) -> tuple[Tensor, Tensor]:
    """L_a and L_v, each (B, N), of the two VAEs and their encoders."""
    torch.manual_seed(SEED)
    visual_noise, audio_noise = torch.randn(2, *batch.mask.shape, L, dtype=torch.float64)
    q_audio = guide.audio.encoder(batch.noisy_power)
    q_visual = guide.visual.encoder(batch.noisy_power, prior.visual.visual_features(batch))
    return bound(prior.audio, q_audio, audio_noise, batch), bound(prior.visual, q_visual, visual_noise, batch)


def every_assignment(batch: Utterances) -> Tensor:
    """(2^N, 1, N)."""
    rows = itertools.product([0.0, 1.0], repeat=batch.frames)
    return torch.tensor(list(rows), dtype=torch.float64)[:, None]


def log_chain(prior: SwitchingVAE, batch: Utterances, rows: Tensor) -> Tensor:
    """log p(alpha) of each assignment, by its definition; e^-30 against a frame without a mouth, (2^N, B, N)."""
    mixing: Any = prior.alpha_prior
    shown = batch.mouth_seen & batch.mask
    terms = []
    for n in range(batch.frames):
        odds = mixing.start if n == 0 else torch.where(rows[..., n - 1] == 1, mixing.after_audio, mixing.after_visual)
        odds = torch.where(shown[:, n], odds, 30.0)
        terms.append(torch.where(rows[..., n] == 1, logsigmoid(odds), logsigmoid(-odds)))
    return torch.stack(terms, -1)


def assert_same(first: Tensor, second: Tensor, *modules: torch.nn.Module) -> None:
    torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-9)
    parameters = [parameter for module in modules for parameter in module.parameters()]
    found, expected = (
        torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in (first, second)
    )
    for one, other, parameter in zip(found, expected, parameters, strict=True):
        zero = torch.zeros_like(parameter)
        one, other = (zero if gradient is None else gradient for gradient in (one, other))
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("shape", [(2, 2), (1, 2), (2, 1), (1, 1), (3, 4)])
@pytest.mark.parametrize("rule", RULES)
def test_the_loss_of_the_mixture_is_the_one_written_by_hand(
    world: Any, rule: str, shape: tuple[int, int], gaps: bool
) -> None:
    prior, guide = pair(LearntAlphaPrior(0.3), rule)
    batch = world.with_gaps(world.batch(*shape)) if gaps else world.batch(*shape)
    audio, visual = bounds(prior, guide, batch)
    pi = torch.where(batch.mouth_seen, prior.alpha_prior.logit, 30.0)
    if rule == "collapsed":
        per_frame = torch.logaddexp(logsigmoid(pi) + audio, logsigmoid(-pi) + visual)
    else:
        r = torch.where(batch.mouth_seen, torch.tensor(0.2, dtype=torch.float64).logit(), 30.0).sigmoid()
        entropy = -torch.xlogy(r, r) - torch.xlogy(1 - r, 1 - r)
        per_frame = r * (audio + logsigmoid(pi)) + (1 - r) * (visual + logsigmoid(-pi)) + entropy
    # log-odds are clamped to 30, which costs e^-30 of a bound
    assert_same(pyro_loss(prior, guide, batch), -(per_frame * batch.mask).sum(), prior, guide)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("shape", [(2, 4), (1, 2), (2, 1), (1, 1)])
@pytest.mark.parametrize("rule", RULES)
def test_the_loss_of_the_chain_is_the_sum_over_all_assignments(
    world: Any, rule: str, shape: tuple[int, int], gaps: bool
) -> None:
    prior, guide = pair(LearntMarkovAlphaPrior(0.8, 0.7, 0.4), rule)
    batch = world.with_gaps(world.batch(*shape)) if gaps else world.batch(*shape)
    audio, visual = bounds(prior, guide, batch)
    rows = every_assignment(batch)
    joint = log_chain(prior, batch, rows) + torch.where(rows == 1, audio, visual)
    # frames without a mouth are the sound's, padding counts as such and costs nothing
    sure = (batch.mask & batch.mouth_seen | (rows == 1)).all(-1)
    if rule == "collapsed":
        total = (joint * batch.mask).sum(-1).masked_fill(~sure, -torch.inf).logsumexp(0)
    else:
        q = torch.where(rows == 1, *torch.tensor([0.2, 0.8], dtype=torch.float64)).where(batch.mouth_seen, 1.0)
        weight = q.prod(-1) * sure
        total = (weight * ((joint - q.log()) * batch.mask).sum(-1)).sum(0)
    assert_same(pyro_loss(prior, guide, batch), -total.sum(), prior, guide)


def test_a_chain_of_halves_trains_as_the_mixture_of_halves(world: Any) -> None:
    prior, guide = pair(FixedMarkovAlphaPrior(0.5, 0.5, 0.5))
    batch = world.with_gaps(world.batch(2, 4))
    loss = pyro_loss(prior, guide, batch)
    prior_of_mixture = MixtureOfVAEs(prior.audio, prior.visual, FixedAlphaPrior(0.5).double())
    guide._prior = [prior_of_mixture]
    assert_same(loss, pyro_loss(prior_of_mixture, guide, batch), prior, guide)


@pytest.mark.parametrize("alpha", [0, 1])
def test_a_sure_chain_trains_as_its_one_vae(world: Any, alpha: int) -> None:
    sure = 1e-13
    chain = FixedMarkovAlphaPrior(1 - sure, sure, 1 - sure) if alpha else FixedMarkovAlphaPrior(sure, 1 - sure, sure)
    prior, guide = pair(chain)
    batch = world.batch(2, 4)
    audio, visual = bounds(prior, guide, batch)
    assert (audio - visual).abs().max() < 20
    loss = pyro_loss(prior, guide, batch)
    torch.testing.assert_close(loss, -(audio if alpha else visual).sum(), rtol=1e-6, atol=1e-3)


def test_half_and_half_trains_both_vaes_at_full_weight(world: Any) -> None:
    prior, guide = pair(FixedAlphaPrior(0.5), "fixed")
    guide.responsibility = FixedResponsibility(0.5)
    batch = world.batch(2, 3)
    audio, visual = bounds(prior, guide, batch)
    assert_same(pyro_loss(prior, guide, batch), -(audio + visual).sum() / 2, prior, guide)


def test_each_vae_keeps_the_posterior_of_its_own_guide(world: Any) -> None:
    prior, guide = pair(LearntAlphaPrior())
    batch = world.with_gaps(world.batch(2, 3))
    mean, scale = guide.posteriors(batch)
    one = AudioGuide(guide.audio)
    other = AudioVisualGuide(prior.visual, guide.visual.encoder)
    for alpha, expected in enumerate([other.encode_audio(batch), one.encode_audio(batch)]):
        torch.testing.assert_close((mean[alpha], scale[alpha]), expected)
    torch.testing.assert_close(guide.encode_audio(batch), one.encode_audio(batch))
    torch.testing.assert_close(guide.encode_visual(batch), other.encode_audio(batch))
    shared = {id(p) for p in prior.parameters()} & {id(p) for p in guide.parameters()}
    assert not shared


@pytest.mark.parametrize("mixing", [LearntAlphaPrior, LearntMarkovAlphaPrior])
def test_every_part_learns(world: Any, mixing: Any) -> None:
    prior, guide = pair(mixing())
    loss = pyro_loss(prior, guide, world.batch(3, 4))
    loss.backward()
    named = [*prior.named_parameters(), *guide.named_parameters()]
    idle = [name for name, parameter in named if parameter.grad is None or not parameter.grad.abs().sum() > 0]
    # features of the mouth are a mean: their network's variance is not asked for
    assert [name for name in idle if "visual_features.network.head.log_variance" not in name] == []


@pytest.mark.parametrize("mixing", [LearntAlphaPrior(0.3), LearntMarkovAlphaPrior(0.8, 0.7, 0.4)])
def test_a_gate_sees_what_the_visual_vae_lets_expect(world: Any, mixing: Any) -> None:
    prior, guide = pair(mixing)
    batch = world.with_gaps(world.batch(2, 3))
    (mean, scale), variance = guide.evidence(batch).visual()
    features = prior.visual.visual_features(batch)
    expected = guide.visual.encoder(batch.noisy_power, features)
    torch.testing.assert_close((mean, scale), expected)
    torch.testing.assert_close(variance, prior.visual.decoder(mean, features))
    assert not torch.allclose(variance, prior.audio.decoder(mean))


def test_sound_without_video_trains_the_audio_vae_alone(world: Any) -> None:
    for mixing in (LearntAlphaPrior(), LearntMarkovAlphaPrior()):
        prior, guide = pair(mixing)
        batch = world.batch(2, 3).without_mouth()
        audio, _ = bounds(prior, guide, batch)
        torch.testing.assert_close(pyro_loss(prior, guide, batch), -audio.sum(), rtol=1e-11, atol=1e-8)
