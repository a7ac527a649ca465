"""Noise, gain and the mixture of both with speech: densities by hand, M-steps against the likelihood."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from hypothesis import given, strategies as st
from pyro import poutine
from torch import Tensor

from minvae_pyro.models import AudioVAE, MinVAE, NMFNoise, NoisyMixture
from minvae_pyro.models.noise import FLOOR
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.utterances import Plates, Utterances

LATENT = 2


class Known(torch.nn.Module):
    """A decoder whose variance is looked up: z is the number of the draw."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = table  # (S, B, N, F)

    def forward(self, z: Tensor) -> Tensor:
        return self.table


def levels(generator: torch.Generator, *shape: int, decades: float = 3.0) -> Tensor:
    """Positive numbers, uniform on a logarithmic scale."""
    exponent = decades * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)
    return 10**exponent


class Problem:
    """A mixture with random levels over six decades, and the expected log-likelihood of its recording."""

    def __init__(self, seed: int, size: int = 1, frames: int = 3, bins: int = 3, rank: int = 2, draws: int = 1) -> None:
        g = torch.Generator().manual_seed(seed)
        self.utterances = Utterances.from_spectrum(levels(g, size, frames, bins).sqrt().to(torch.complex128))
        if frames > 1:
            self.utterances.mask[-1, -1] = False
        noise = NMFNoise(rank).at(spectra=levels(g, size, bins, rank), activations=levels(g, size, rank, frames))
        prior = AudioVAE(LATENT, Known(levels(g, draws, size, frames, bins)))
        self.mixture = NoisyMixture(prior, noise, levels(g, size, 1, 1))
        self.draws = torch.zeros(draws, size, frames, LATENT)

    def log_likelihood(self) -> Tensor:
        """Mean over draws of log p(x | z), (B,), written out."""
        noise = (self.mixture.noise.spectra @ self.mixture.noise.activations).mT
        variance = self.mixture.gain * self.mixture.speech.decoder.table + noise
        density = -(math.pi * variance).log() - self.utterances.power / variance
        return (density * self.utterances.mask[..., None]).sum((2, 3)).mean(0)


SHAPES = {
    "seed": st.integers(0, 2**31),
    "frames": st.integers(1, 4),
    "bins": st.integers(1, 4),
    "rank": st.integers(1, 3),
    "draws": st.integers(1, 4),
}


def framewise(problem: Problem) -> None:
    """Give each frame a gain of its own."""
    problem.mixture.gain = problem.mixture.gain.repeat(1, problem.utterances.frames, 1)


@given(per_frame=st.booleans(), **SHAPES)
def test_the_m_step_never_lowers_the_likelihood(
    seed: int, frames: int, bins: int, rank: int, draws: int, per_frame: bool
) -> None:
    problem = Problem(seed, 2, frames, bins, rank, draws)
    if per_frame:
        framewise(problem)
    for _ in range(3):
        before = problem.log_likelihood()
        problem.mixture.m_step(Latent(problem.draws), problem.utterances)
        after = problem.log_likelihood()
        assert (after >= before - 1e-9 * before.abs()).all()


def test_several_draws_do_not_break_the_guarantee() -> None:
    # here one set of statistics for both factors would lose more than a nat
    problem = Problem(0, 1, 2, 2, 1, 3)
    problem.utterances = Utterances.from_spectrum(
        torch.tensor([[[1e4, 1e-4], [1e-4, 1.0]]], dtype=torch.float64).sqrt().to(torch.complex128)
    )
    speech = [[[1e-2, 1e-2], [1e-3, 1e-3]], [[1e-3, 1e2], [1e-3, 1e-2]], [[1e-4, 1e1], [1e-2, 1e-3]]]
    problem.mixture.speech.decoder.table = torch.tensor(speech, dtype=torch.float64)[:, None]
    problem.mixture.gain = torch.ones(1, 1, 1, dtype=torch.float64)
    problem.mixture.noise.spectra = torch.tensor([[[1.0], [1e3]]], dtype=torch.float64)
    problem.mixture.noise.activations = torch.tensor([[[1e4, 1e3]]], dtype=torch.float64)
    before = problem.log_likelihood()
    problem.mixture.m_step(Latent(problem.draws), problem.utterances)
    assert problem.log_likelihood() > before


@given(**SHAPES)
def test_the_update_of_both_factors_is_the_published_one(
    seed: int, frames: int, bins: int, rank: int, draws: int
) -> None:
    problem = Problem(seed, 1, frames, bins, rank, draws)
    noise, unscaled = problem.mixture.noise, problem.mixture.speech.decoder.table
    power, mask = problem.utterances.power[0], problem.utterances.mask[0].double()
    speech = problem.mixture.gain[0, 0, 0] * unscaled[:, 0]
    w, h = noise.spectra[0].clone(), noise.activations[0].clone()

    def quotient(weights: Tensor, n: slice | int, f: slice | int) -> float:
        variance = speech + (w @ h).T
        up = (weights * (power / variance**2 * mask[:, None])[:, n, f]).sum()
        down = (weights * (1 / variance * mask[:, None])[:, n, f]).sum()
        return float((up / down.clamp_min(FLOOR)).sqrt())

    everything = slice(None)
    new_h = h.clone()
    for k in range(rank):
        for n in range(frames):
            new_h[k, n] *= quotient(w[:, k], n, everything)
    h = new_h
    new_w = w.clone()
    for k in range(rank):
        for f in range(bins):
            new_w[f, k] *= quotient(h[k], everything, f)
    noise.m_step(
        lambda: problem.mixture._statistics(
            unscaled, problem.utterances.mask[..., None] / len(unscaled), problem.utterances
        )
    )
    torch.testing.assert_close(
        noise(problem.utterances)[0] * mask[:, None], (new_w @ h).T * mask[:, None], rtol=1e-6, atol=1e-6
    )
    torch.testing.assert_close(noise.spectra.sum(1), torch.ones(1, rank, dtype=torch.float64))


def test_a_stationary_point_of_the_likelihood_is_a_fixed_point() -> None:
    problem = Problem(4, 2, 3, 4, 2)
    mixture, utterances = problem.mixture, problem.utterances
    variance = mixture.gain * mixture.speech.decoder.table[0] + mixture.noise(utterances)
    problem.utterances = utterances.replace(spectrum=variance.sqrt().to(torch.complex128))
    factors = [mixture.noise.spectra, mixture.noise.activations, mixture.gain]
    for factor in factors:
        factor.requires_grad_()
    gradients = torch.autograd.grad(problem.log_likelihood().sum(), factors)
    for factor, gradient in zip(factors, gradients, strict=True):
        factor.requires_grad_(False)
        assert (gradient * factor).abs().max() < 1e-9
    before, gain = mixture.noise(utterances), mixture.gain.clone()
    mixture.m_step(Latent(problem.draws), problem.utterances)
    mask = utterances.mask[..., None]
    torch.testing.assert_close(mixture.noise(utterances) * mask, before * mask, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(mixture.gain, gain, rtol=1e-7, atol=0)


def test_repeated_m_steps_end_where_the_gradient_vanishes() -> None:
    generator = torch.Generator().manual_seed(1)
    problem = Problem(5, 1, 6, 5, 1)
    problem.utterances = problem.utterances.replace(
        spectrum=levels(generator, 1, 6, 5, decades=0.5).to(torch.complex128)
    )
    mixture = problem.mixture
    mixture.speech.decoder.table = levels(generator, 1, 1, 6, 5, decades=0.5)
    for _ in range(1500):
        mixture.m_step(Latent(problem.draws), problem.utterances)
    factors = [mixture.noise.spectra, mixture.noise.activations, mixture.gain]
    for factor in factors:
        factor.requires_grad_()
    gradients = torch.autograd.grad(problem.log_likelihood().sum(), factors)
    # with respect to the logarithm, where zero is the boundary
    for factor, gradient in zip(factors, gradients, strict=True):
        assert (factor * gradient).abs().max() < 1e-3


@given(per_frame=st.booleans(), **SHAPES)
def test_the_gain_moves_uphill(seed: int, frames: int, bins: int, rank: int, draws: int, per_frame: bool) -> None:
    problem = Problem(seed, 2, frames, bins, rank, draws)
    if per_frame:
        framewise(problem)
    mixture = problem.mixture
    before = mixture.gain.clone()
    mixture.m_step(Latent(problem.draws), problem.utterances)
    moved = (mixture.gain / before).log().flatten()
    mixture.gain = before.requires_grad_()  # the noise as it is now, the gain as it was
    (uphill,) = torch.autograd.grad(problem.log_likelihood().sum(), before)
    slope = (uphill * before).detach().flatten()
    assert ((slope.sign() == moved.sign()) | (slope.abs() < 1e-6) | (moved.abs() < 1e-9)).all()


class Told(NMFNoise):
    """Noise that has a prior: its level is log-normal."""

    def declare(self, utterances: Utterances, plates: Plates) -> None:
        with plates.utterances:
            pyro.sample("level", dist.LogNormal(0.0, 1.0), obs=self.spectra.sum((1, 2))[:, None])


def test_the_prior_of_the_noise_is_a_part_of_the_story() -> None:
    problem = Problem(2, 2)
    noise = problem.mixture.noise
    told = Told(2).at(spectra=noise.spectra, activations=noise.activations)
    mixture = NoisyMixture(problem.mixture.speech, told, problem.mixture.gain)
    trace = poutine.trace(mixture).get_trace(problem.utterances)
    assert set(trace.observation_nodes) == {"level", "x"}
    trace.compute_log_prob()
    level = told.spectra.sum((1, 2))
    expected = -level.log() - 0.5 * math.log(2 * math.pi) - level.log().square() / 2
    torch.testing.assert_close(trace.nodes["level"]["log_prob"][:, 0], expected)


@pytest.mark.parametrize("per_frame", [False, True])
def test_a_gain_stays_where_nothing_is_heard_and_never_vanishes(per_frame: bool) -> None:
    problem = Problem(3, 2, frames=3)
    problem.utterances = problem.utterances.replace(observed=torch.ones(2, 3, 3, dtype=torch.bool))
    problem.utterances.observed[0] = False
    problem.utterances.spectrum[1] = 0
    if per_frame:
        framewise(problem)
    gain = problem.mixture.gain.clone()
    problem.mixture.m_step(Latent(problem.draws), problem.utterances)
    assert problem.mixture.gain[0].equal(gain[0])
    heard = problem.mixture.gain[1, : problem.mixture.gain.shape[1] - per_frame]
    # what is silent takes the gain down to where the next steps can raise it again
    assert heard.eq(FLOOR).all()
    if per_frame:
        assert problem.mixture.gain[1, -1].equal(gain[1, -1])  # padding


def test_recordings_of_a_batch_and_their_padding_do_not_mix() -> None:
    problem = Problem(6, 2, 4, 3, 2, 2)
    mixture, utterances, table = problem.mixture, problem.utterances, problem.mixture.speech.decoder.table
    alone = NoisyMixture(
        AudioVAE(LATENT, Known(table[:, 1:, :3])),
        NMFNoise().at(spectra=mixture.noise.spectra[1:], activations=mixture.noise.activations[1:, :, :3]),
        mixture.gain[1:],
    )
    short = Utterances.from_spectrum(utterances.spectrum[1:, :3])
    for _ in range(3):
        mixture.m_step(Latent(problem.draws), utterances)
        alone.m_step(Latent(problem.draws[:, 1:, :3]), short)
    torch.testing.assert_close(mixture.noise(utterances)[1, :3], alone.noise(short)[0])
    torch.testing.assert_close(mixture.gain[1:], alone.gain)


def test_the_start_is_at_the_level_of_each_recording_and_repeatable() -> None:
    power = torch.rand(2, 50, 6) * torch.tensor([1.0, 1e4])[:, None, None]
    utterances = Utterances.from_spectrum(power)
    utterances.mask[1, 30:] = False
    starts = [NMFNoise(5).start(utterances, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(starts[0].spectra, starts[1].spectra)
    assert torch.equal(starts[0].activations, starts[1].activations)
    assert starts[0].spectra.shape == (2, 6, 5)
    level = starts[0](utterances).mean((1, 2)) / torch.stack([power[0].mean(), power[1, :30].mean()])
    assert ((level > 0.5) & (level < 2)).all()
    loud = utterances.replace(spectrum=torch.where(utterances.mask[..., None], power, 1e9))
    unmoved = NMFNoise(5).start(loud, torch.Generator().manual_seed(3))
    assert torch.equal(unmoved.spectra, starts[0].spectra)


def test_digital_silence_stays_finite() -> None:
    utterances = Utterances.from_spectrum(torch.zeros(1, 4, 3, dtype=torch.complex64))
    noise = NMFNoise(2).start(utterances)
    mixture = NoisyMixture(AudioVAE(LATENT, SpectrumDecoder(LATENT, 3, 3)), noise, torch.ones(1, 1, 1))
    z = torch.zeros(1, 1, 4, LATENT)
    for _ in range(5):
        mixture.m_step(Latent(z), utterances)
    gain = mixture.wiener_gain(Latent(z), utterances)
    assert gain.isfinite().all()
    assert mixture.noise(utterances).isfinite().all()


@given(seed=st.integers(0, 2**31))
def test_the_wiener_gain_is_the_posterior_mean_of_speech(seed: int) -> None:
    problem = Problem(seed, 2, 3, 3, 2)
    mixture, utterances = problem.mixture, problem.utterances
    gain = mixture.wiener_gain(Latent(problem.draws), utterances)[0]
    speech = (mixture.gain * mixture.speech.decoder.table)[0]
    noise = mixture.noise(utterances)
    # for jointly Gaussian s and x = s + n the mean of s is x Cov(s, x) / Var(x)
    torch.testing.assert_close(gain, speech / (speech + noise), rtol=1e-6, atol=1e-12)
    assert ((gain >= 0) & (gain <= 1)).all()


def test_the_wiener_gain_recovers_speech_best_among_gains() -> None:
    utterances = Utterances.from_spectrum(torch.zeros(1, 20000, 1, dtype=torch.complex64))
    table = torch.full((1, 1, 20000, 1), 3.0)
    noise = NMFNoise(1).at(spectra=torch.ones(1, 1, 1), activations=torch.full((1, 1, 20000), 2.0))
    mixture = NoisyMixture(AudioVAE(LATENT, Known(table)), noise, torch.full((1, 1, 1), 2.0))
    speech = 6**0.5 * torch.randn(20000, dtype=torch.complex64)
    noisy = speech + 2**0.5 * torch.randn(20000, dtype=torch.complex64)
    gain = mixture.wiener_gain(Latent(torch.zeros(1, 1, 20000, LATENT)), utterances)[0, 0, :, 0]
    best = (speech * noisy.conj()).sum().real / noisy.abs().square().sum()
    assert gain[0].item() == pytest.approx(0.75)
    assert best.item() == pytest.approx(0.75, abs=0.02)


def test_the_mixture_is_scored_with_speech_integrated_out() -> None:
    torch.manual_seed(2)
    utterances = Utterances.from_spectrum(torch.randn(2, 2, 4, dtype=torch.complex64), torch.rand(2, 2, 67, 67))
    utterances.mask[1, 1] = False
    prior = MinVAE(LATENT, SpectrumDecoder(LATENT, 3, 4))
    noise = NMFNoise(3).start(utterances)
    gain = torch.tensor([0.5, 4.0])[:, None, None]
    trace = poutine.trace(NoisyMixture(prior, noise, gain)).get_trace(utterances)
    trace.compute_log_prob()
    assert trace.observation_nodes == ["x"]
    variance = gain * prior.decoder(trace.nodes["z"]["value"]) + (noise.spectra @ noise.activations).mT
    parts = torch.distributions.Normal(0.0, (variance / 2).sqrt())
    expected = parts.log_prob(utterances.spectrum.real) + parts.log_prob(utterances.spectrum.imag)
    torch.testing.assert_close(trace.nodes["x"]["log_prob"], expected.sum(-1) * utterances.mask)
