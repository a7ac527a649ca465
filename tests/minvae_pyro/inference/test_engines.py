"""Both engines against bounds and closed forms written by hand."""

import copy
import itertools
import math
from typing import Any

import pytest
import torch
from scipy.integrate import dblquad
from torch import Tensor

from minvae_pyro.guides import MeanFieldGuide, MixtureUtteranceGuide, PointGuide, UtteranceGuide
from minvae_pyro.inference import InferenceEngine, StochasticVariational, VariationalEM
from minvae_pyro.inference.engine import update_alpha
from minvae_pyro.inference.vem import posterior_of_speech
from minvae_pyro.models import NMFNoise, NoisyMixture
from minvae_pyro.probability.random_numbers import normal
from minvae_pyro.utterances import Utterances

ENGINES: list[type[StochasticVariational] | type[VariationalEM]] = [StochasticVariational, VariationalEM]


def noise_of(mixture: NoisyMixture) -> Tensor:
    return (mixture.noise.spectra @ mixture.noise.activations).mT


def log_prior(
    mixture: NoisyMixture, guide: MeanFieldGuide, batch: Utterances, mean: Tensor, scale: Tensor | None
) -> Tensor:
    """-KL(q(z, alpha) || p(z, alpha)) per frame; for a point (no scale) log p instead of the divergence of z."""

    def of(component: Any) -> Tensor:
        p_mean, p_scale = component(batch)
        square = (mean - p_mean) ** 2 / (2 * p_scale**2)
        if scale is None:
            return -(square + p_scale.log() + 0.5 * math.log(2 * math.pi)).sum(-1)
        return -((p_scale / scale).log() + scale**2 / (2 * p_scale**2) + square - 0.5).sum(-1)

    speech: Any = mixture.speech
    if guide.alpha is None:
        return of(lambda _: (torch.zeros(3).double(), torch.ones(3).double()))
    r, pi = guide.alpha.mean, speech.alpha_prior(batch).mean
    total = r * (of(speech.audio_component) + pi.log() - r.log())
    return total + (1 - r) * (of(speech.visual_component) + (1 - pi).log() - (1 - r).log())


def integrated_bound(mixture: NoisyMixture, guide: MeanFieldGuide, batch: Utterances, noise: Tensor | None) -> float:
    """E_q[log p(x | z)] - KL, nats per frame, at one draw; without noise the guide is a point."""
    mean = guide.mean.detach()
    scale = None if noise is None else guide.scale.detach()
    z = mean if noise is None or scale is None else mean + scale * noise
    variance = mixture.gain * mixture.speech.decoder(z) + noise_of(mixture)
    likelihood = -((math.pi * variance).log() + batch.power / variance).sum(-1)
    total = (likelihood + log_prior(mixture, guide, batch, mean, scale)) * batch.mask
    return total.sum().item() / int(batch.mask.sum())


def with_padding(batch: Utterances) -> Utterances:
    batch.mask[-1, -1] = batch.mouth_seen[-1, -1] = False
    return batch


def run(engine: InferenceEngine, mixture: NoisyMixture, guide: UtteranceGuide, batch: Utterances) -> list[float]:
    torch.manual_seed(9)
    return engine(mixture, guide, batch)


def odds(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("shape", [(2, 2), (1, 1), (3, 4)])
def test_the_objective_of_svi_is_the_bound(noisy: Any, shape: tuple[int, int], mixed: bool) -> None:
    batch = noisy.batch(*shape)
    if shape[1] > 1:
        with_padding(batch)
    prior = noisy.prior(mixed)
    mixture, guide = noisy.mixture(batch, prior), noisy.guide(batch, prior, log_odds=odds(*shape))
    torch.manual_seed(9)
    noise = normal(guide.mean.shape, guide.mean).detach()
    expected = integrated_bound(mixture, guide, batch, noise)
    objective = run(StochasticVariational(iterations=1, steps=1), mixture, guide, batch)
    assert objective == [pytest.approx(expected, rel=1e-10)]


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_at_a_point_both_engines_have_the_same_bound(noisy: Any, engine: Any, mixed: bool) -> None:
    # q(s) given one z is the posterior of s: the bound with s in it touches the one where s is integrated out
    batch = with_padding(noisy.batch(2, 3))
    prior = noisy.prior(mixed)
    mixture, guide = noisy.mixture(batch, prior), noisy.guide(batch, prior, PointGuide)
    expected = integrated_bound(mixture, guide, batch, None)
    assert run(engine(iterations=1, steps=1), mixture, guide, batch) == [pytest.approx(expected, rel=1e-9)]


def vem_bound(
    mixture: NoisyMixture, guide: MeanFieldGuide, batch: Utterances, q_s: tuple[Tensor, Tensor], noise: Tensor
) -> float:
    """E_q[log p(x | s) + log p(s | z)] + H(q(s)) - KL, nats per frame, at one draw of z."""
    (mean, variance), z_mean, z_scale = q_s, guide.mean.detach(), guide.scale.detach()
    observation, prior = noise_of(mixture), mixture.gain * mixture.speech.decoder(z_mean + z_scale * noise)
    total = -(math.pi * observation).log() - ((batch.spectrum - mean).abs() ** 2 + variance) / observation
    total = total - (math.pi * prior).log() - (mean.abs() ** 2 + variance) / prior
    total = total + (math.pi * variance).log() + 1
    frames = (total.sum(-1) + log_prior(mixture, guide, batch, z_mean, z_scale)) * batch.mask
    return frames.sum().item() / int(batch.mask.sum())


@pytest.mark.parametrize("mixed", [False, True])
def test_the_objective_of_vem_is_its_bound_and_below_the_integrated_one(noisy: Any, mixed: bool) -> None:
    batch = with_padding(noisy.batch(2, 3))
    prior = noisy.prior(mixed)
    mixture, guide = noisy.mixture(batch, prior), noisy.guide(batch, prior, log_odds=odds(2, 3))
    engine = VariationalEM(iterations=1, steps=1)
    # the draws that the engine makes, in its order: for the precision, then in the step on q(z)
    torch.manual_seed(9)
    draws = guide.draw(engine.samples)["z"]
    noise = normal(guide.mean.shape, guide.mean).detach()
    precision = (1 / mixture.speech.decoder(draws)).mean(0)
    variance = 1 / (precision / mixture.gain + 1 / noise_of(mixture))
    q_s = variance / noise_of(mixture) * batch.spectrum, variance
    expected = vem_bound(mixture, guide, batch, q_s, noise)
    upper = integrated_bound(mixture, guide, batch, noise)
    assert run(engine, mixture, guide, batch) == [pytest.approx(expected, rel=1e-10)]
    assert expected < upper


def test_the_posterior_of_speech_is_that_of_two_gaussians(noisy: Any) -> None:
    batch = noisy.batch(1, 1)
    mixture = noisy.mixture(batch, noisy.prior())
    speech, noise, x = 0.8, float(noise_of(mixture)[0, 0, 0]), complex(batch.spectrum[0, 0, 0])
    gain = float(mixture.gain)

    def joint(imaginary: float, real: float) -> float:
        s = complex(real, imaginary)
        return math.exp(-(abs(s) ** 2) / (gain * speech) - abs(x - s) ** 2 / noise)

    def integral(f: Any) -> float:
        value, _ = dblquad(lambda i, r: f(complex(r, i)) * joint(i, r), -6, 6, -6, 6, epsabs=1e-9)
        return float(value)

    total = integral(lambda s: 1.0)
    expected_mean = complex(integral(lambda s: s.real), integral(lambda s: s.imag)) / total
    expected_variance = integral(lambda s: abs(s - expected_mean) ** 2) / total
    mean, variance = posterior_of_speech(mixture, torch.full_like(batch.power, 1 / speech), batch)
    assert complex(mean[0, 0, 0]) == pytest.approx(expected_mean, abs=1e-6)
    assert float(variance[0, 0, 0]) == pytest.approx(expected_variance, rel=1e-6)


def test_q_of_s_maximises_the_bound_of_vem(noisy: Any) -> None:
    batch = noisy.batch(1, 2)
    prior = noisy.prior()
    mixture, guide = noisy.mixture(batch, prior), noisy.guide(batch, prior)
    noise = normal(guide.mean.shape, guide.mean).detach()
    precision = 1 / mixture.speech.decoder(guide.mean + guide.scale * noise).detach()
    mean, variance = posterior_of_speech(mixture, precision, batch)
    best = vem_bound(mixture, guide, batch, (mean, variance), noise)
    for other in ((mean * 1.05, variance), (mean + 0.05j, variance), (mean, variance * 1.1), (mean, variance * 0.9)):
        assert vem_bound(mixture, guide, batch, other, noise) < best


def test_the_m_step_of_vem(noisy: Any) -> None:
    batch = with_padding(noisy.batch(2, 3))
    mixture = noisy.mixture(batch, noisy.prior())
    mean, variance = batch.spectrum * 0.6, torch.rand_like(batch.power) + 0.1
    precision = torch.rand_like(batch.power) + 0.1
    weight = batch.mask[..., None]

    def fit() -> Tensor:
        """What of the bound depends on noise and gain, (B,)."""
        remainder = (batch.spectrum - mean).abs() ** 2 + variance
        noise, gain = noise_of(mixture), mixture.gain
        of_noise = -noise.log() - remainder / noise
        of_gain = -gain.log() - (mean.abs() ** 2 + variance) * precision / gain
        return ((of_noise + of_gain) * weight).sum((1, 2))

    engine = VariationalEM()
    for _ in range(4):
        before = fit()
        engine._m_step(mixture, precision, mean, variance, batch)
        assert (fit() >= before - 1e-9).all()
    # the gain is at its optimum at once
    mixture.gain.requires_grad_()
    (slope,) = torch.autograd.grad(fit().sum(), mixture.gain)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-9)
    expected = ((mean.abs() ** 2 + variance) * precision)[1, :2].mean()
    torch.testing.assert_close(mixture.gain[1, 0, 0], expected)


def test_pi_is_the_mean_responsibility(noisy: Any) -> None:
    batch = with_padding(noisy.batch(2, 3))
    prior = noisy.prior()
    mixture, guide = noisy.mixture(batch, prior), noisy.guide(batch, prior)
    update_alpha(mixture, guide, mixture, batch, 1.0)
    r = guide.responsibility
    pi = mixture.speech.alpha_prior(batch).mean
    torch.testing.assert_close(pi[0], r[0].mean().expand(3), rtol=1e-6, atol=0)
    torch.testing.assert_close(pi[1, :2], r[1, :2].mean().expand(2), rtol=1e-6, atol=0)


@pytest.mark.parametrize("engine", ENGINES)
def test_q_of_alpha_stays_where_it_is_given(noisy: Any, engine: Any) -> None:
    batch = noisy.batch(2, 3)
    for given in (True, False):
        prior = noisy.prior()
        start = {"log_odds": torch.full((2, 3), 0.7, dtype=torch.float64)} if given else {}
        mixture, guide = noisy.mixture(batch, prior), noisy.guide(batch, prior, **start)
        alpha, pi = guide.alpha.mean.clone(), mixture.speech.alpha_prior.logit.clone()
        run(engine(iterations=2, steps=1), mixture, guide, batch)
        assert torch.equal(guide.alpha.mean, alpha) is given
        assert torch.equal(pi.expand(2, 3), mixture.speech.alpha_prior.logit.expand(2, 3)) is given


@pytest.mark.parametrize("kind", [MeanFieldGuide, PointGuide, MixtureUtteranceGuide])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_objective_rises(noisy: Any, engine: Any, mixed: bool, kind: type[UtteranceGuide]) -> None:
    batch = noisy.batch(2, 6)
    prior = noisy.prior(mixed)
    mixture, guide = noisy.mixture(batch, prior), noisy.guide(batch, prior, kind)
    objective = run(engine(iterations=40), mixture, guide, batch)
    assert len(objective) == 40
    assert sum(objective[-5:]) / 5 > objective[0] + 1


@pytest.mark.parametrize("mixed", [False, True])
def test_the_bound_of_vem_never_falls(noisy: Any, mixed: bool) -> None:
    """Where nothing is drawn and steps on z are short, each of its steps raises the bound."""
    batch = with_padding(noisy.batch(2, 6))
    prior = noisy.prior(mixed)
    mixture, guide = noisy.mixture(batch, prior), noisy.guide(batch, prior, PointGuide)
    objective = run(VariationalEM(iterations=60, steps=1, learning_rate=0.002), mixture, guide, batch)
    assert objective[-1] > objective[0] + 1
    assert min(after - before for before, after in itertools.pairwise(objective)) > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_the_prior_stays_what_training_made_it(noisy: Any, engine: Any) -> None:
    batch, prior = noisy.batch(), noisy.prior()
    before = copy.deepcopy(prior.state_dict())
    run(engine(iterations=3), noisy.mixture(batch, prior), noisy.guide(batch, prior), batch)
    torch.testing.assert_close(prior.state_dict(), before, rtol=0, atol=0)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in prior.parameters())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_callback_is_told_every_iteration(noisy: Any, engine: Any) -> None:
    batch, prior = noisy.batch(), noisy.prior()
    told: list[tuple[int, int, float]] = []
    objective = engine(iterations=3)(
        noisy.mixture(batch, prior), noisy.guide(batch, prior), batch, callback=lambda *a: told.append(a)
    )
    assert told == [(n + 1, 3, value) for n, value in enumerate(objective)]


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_padded_batch_is_the_utterances_one_by_one(noisy: Any, engine: Any, mixed: bool) -> None:
    batch = noisy.batch(2, 5)
    short = 3
    for name in ("mask", "mouth_seen"):
        getattr(batch, name)[1, short:] = False
    prior = noisy.prior(mixed)
    mixture, guide = noisy.mixture(batch, prior), noisy.guide(batch, prior, PointGuide)
    loud = batch.replace(spectrum=torch.where(batch.mask[..., None], batch.spectrum, 100j))
    alone = Utterances.from_spectrum(batch.spectrum[1:, :short], batch.mouth[1:, :short])
    noise = NMFNoise().at(
        spectra=mixture.noise.spectra[1:].clone(), activations=mixture.noise.activations[1:, :, :short].clone()
    )
    mixture_alone = NoisyMixture(prior.condition_on(alone), noise, mixture.gain[1:].clone())
    guide_alone = PointGuide().start(prior, alone, (guide.mean[1:, :short], guide.scale[1:, :short]))
    engine = engine(iterations=8)
    run(engine, mixture, guide, loud)
    run(engine, mixture_alone, guide_alone, alone)
    gain, gain_alone = engine.gain(mixture, guide, loud, 1), engine.gain(mixture_alone, guide_alone, alone, 1)
    torch.testing.assert_close(gain[1, :short], gain_alone[0], rtol=1e-7, atol=1e-9)
    if mixed:
        torch.testing.assert_close(guide.alpha.logits[1, :short], guide_alone.alpha.logits[0], rtol=1e-7, atol=1e-7)


def test_the_gain_is_the_mean_over_draws(noisy: Any) -> None:
    batch = noisy.batch()
    prior = noisy.prior()
    mixture, guide = noisy.mixture(batch, prior), noisy.guide(batch, prior)
    torch.manual_seed(4)
    found = StochasticVariational().gain(mixture, guide, batch, 3)
    torch.manual_seed(4)
    speech = mixture.gain * mixture.speech.decoder(guide.draw(3)["z"]).detach()
    torch.testing.assert_close(found, (speech / (speech + noise_of(mixture))).mean(0))


def test_engines_recover_a_talker_from_noise_of_another_colour(noisy: Any) -> None:
    """Speech drawn from the prior itself, loud noise in two bins that the prior never makes loud."""
    torch.manual_seed(0)
    batch, prior = noisy.batch(2, 20), noisy.prior()
    with torch.no_grad():
        variance = prior.decoder(prior.latent(batch, batch.plates()).z)
    clean = torch.randn_like(batch.spectrum) * variance.sqrt()
    loudness = torch.tensor([30.0, 20.0, 0, 0, 0, 0]).double()
    noisy_batch = batch.replace(spectrum=clean + torch.randn_like(clean) * loudness)
    noisy_batch = noisy_batch.replace(noisy_power=noisy_batch.power)
    for engine in ENGINES:
        mixture = NoisyMixture(prior.condition_on(batch), NMFNoise(1).start(noisy_batch), torch.ones(2, 1, 1).double())
        guide = noisy.guide(batch, prior)
        run(engine(iterations=40), mixture, guide, noisy_batch)
        estimate = engine().gain(mixture, guide, noisy_batch, 8) * noisy_batch.spectrum
        error = (estimate - clean).abs().square().sum() / clean.abs().square().sum()
        assert error < 0.7
        assert (noisy_batch.spectrum - clean).abs().square().sum() / clean.abs().square().sum() > 5
