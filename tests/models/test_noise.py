"""Every noise model: its M-step against likelihood and prior written out, and what must not matter to it."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, strategies as st
from pyro import poutine
from torch import Tensor, nn

from minvae_pyro import read_sound
from minvae_pyro.audio.stft import STFT
from minvae_pyro.guides import SharedGuide
from minvae_pyro.models import (
    AudioVAE,
    BayesianNMFNoise,
    ConditionalMinVAE,
    FrozenNoise,
    NMFNoise,
    NoiseModel,
    NoisyMixture,
    PauseBoundedNoise,
    StationaryNoise,
)
from minvae_pyro.models.bayesian_nmf import _best_factor
from minvae_pyro.models.noise import mean_power
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.nn.cached import Precomputed
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.utterances import Utterances

LATENT = 2

MODELS: dict[str, Callable[[], NoiseModel]] = {
    "nmf": lambda: NMFNoise(2),
    "stationary": StationaryNoise,
    "bounded": lambda: PauseBoundedNoise(2),
    "bayesian": lambda: BayesianNMFNoise(3),
    "smooth": lambda: BayesianNMFNoise(3, shape=8.0, spectra_shape=1.5, activations_shape=3.0),
}
every_model = pytest.mark.parametrize("name", MODELS)


class Known(nn.Module):
    """A decoder whose variance is looked up."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = table  # (S, B, N, F)

    def forward(self, z: Tensor) -> Tensor:
        return self.table


class World:
    """Recordings with levels over several decades, known speech variances, and noise that has started."""

    def __init__(self, name: str, seed: int, size: int, frames: int, bins: int, draws: int = 1) -> None:
        generator = torch.Generator().manual_seed(seed)

        def levels(*shape: int) -> Tensor:
            return 10 ** (4 * torch.rand(shape, generator=generator, dtype=torch.float64) - 2)

        self.utterances = Utterances.from_spectrum(levels(size, frames, bins).sqrt().to(torch.complex128))
        self.table = levels(draws, size, frames, bins)
        self.draws = torch.zeros(draws, size, frames, LATENT)
        self.noise = MODELS[name]().start(self.utterances, generator)
        self.mixture = NoisyMixture(AudioVAE(LATENT, Known(self.table)), self.noise, levels(size, 1, 1))

    def objective(self) -> Tensor:
        """Likelihood plus log-prior, written out, (B,)."""
        utterances, noise = self.utterances, self.mixture.noise
        variance = self.mixture.gain * self.table + noise(utterances)
        density = -(math.pi * variance).log() - utterances.power / variance
        return (density * utterances.mask[..., None]).sum((2, 3)).mean(0) + log_prior(noise, utterances)

    def m_step(self, times: int = 1) -> None:
        for _ in range(times):
            self.mixture.m_step(Latent(self.draws), self.utterances)


def log_prior(noise: NoiseModel, utterances: Utterances) -> Tensor:
    """Log-density of the parameters of Bayesian NMF from the textbook, else zero."""
    if not isinstance(noise, BayesianNMFNoise):
        return torch.zeros(len(utterances), dtype=torch.float64)

    def gamma(x: Tensor, shape: float, rate: Tensor) -> Tensor:
        return shape * rate.log() - math.lgamma(shape) + (shape - 1) * x.log() - rate * x

    a, b, relevance = noise.shape, noise.scale, noise.relevance
    of_relevance = a * math.log(b) - math.lgamma(a) - (a + 1) * relevance.log() - b / relevance
    of_spectra = gamma(noise.spectra, noise.spectra_shape, 1 / relevance[:, None])
    of_activations = gamma(noise.activations, noise.activations_shape, 1 / relevance[..., None])
    of_activations = of_activations * utterances.mask[:, None]
    return of_relevance.sum(1) + of_spectra.sum((1, 2)) + of_activations.sum((1, 2))


@every_model
@given(
    seed=st.integers(0, 2**31),
    frames=st.integers(1, 5),
    bins=st.integers(1, 5),
    draws=st.integers(1, 3),
    padded=st.booleans(),
)
def test_likelihood_plus_prior_never_falls(
    name: str, seed: int, frames: int, bins: int, draws: int, padded: bool
) -> None:
    world = World(name, seed, 2, frames, bins, draws)
    if padded and frames > 1:
        world.utterances.mask[-1, -1] = False
    for _ in range(4):
        before = world.objective()
        world.m_step()
        assert (world.objective() >= before - 1e-9 * before.abs()).all()


@every_model
def test_the_end_is_stationary_by_finite_differences(name: str) -> None:
    world = World(name, 5, 1, 6, 4)
    world.m_step(4000 if name == "bounded" else 1000)
    noise = world.mixture.noise
    parameters = [p for p in ("spectra", "activations", "relevance", "spectrum") if hasattr(noise, p)]
    assert parameters
    step = 1e-4
    for parameter in parameters:
        best = getattr(noise, parameter).clone()
        for place in torch.cartesian_prod(*[torch.arange(n) for n in best.shape]).tolist():
            values = []
            for sign in (1, -1):
                moved = best.clone()
                moved[tuple(place)] *= math.exp(sign * step)
                setattr(noise, parameter, moved)
                values.append(float(world.objective().sum()))
            # with respect to the logarithm, where zero is the boundary
            assert abs(values[0] - values[1]) / (2 * step) < 2e-3, (parameter, place)
        setattr(noise, parameter, best)


@given(
    old=st.floats(1e-3, 1e3),
    rise=st.floats(1e-3, 1e3),
    fall=st.floats(1e-3, 1e3),
    shape=st.floats(1, 20),
)
def test_the_quadratic_has_its_root_at_the_top(old: float, rise: float, fall: float, shape: float) -> None:
    values = torch.tensor([old, rise, fall], dtype=torch.float64)
    best = _best_factor(values[0], values[1], values[2], shape)
    around = best * torch.logspace(-3, 3, 6001, dtype=torch.float64)
    height = -rise * old**2 / around - fall * around + (shape - 1) * around.log()
    assert height.argmax() == 3000


@every_model
def test_a_louder_recording_has_louder_noise_and_nothing_else(name: str) -> None:
    variances = []
    for factor in (1.0, 10.0):
        world = World(name, 3, 2, 6, 5)
        generator = torch.Generator().manual_seed(1)
        world.utterances = world.utterances.replace(spectrum=world.utterances.spectrum * factor)
        world.mixture.noise = MODELS[name]().start(world.utterances, generator)
        world.mixture.gain = world.mixture.gain * factor**2
        world.m_step(20)
        variances.append(world.mixture.noise(world.utterances))
    torch.testing.assert_close(variances[1], 100 * variances[0], rtol=1e-6, atol=1e-6)


@every_model
def test_a_batch_with_padding_is_its_recordings_one_by_one(name: str) -> None:
    world = World(name, 6, 2, 5, 4, 2)
    short = 3
    world.utterances.mask[1, short:] = False
    started = MODELS[name]().start(world.utterances, torch.Generator().manual_seed(1))
    alone = Utterances.from_spectrum(world.utterances.spectrum[1:, :short])
    cut = {
        key: value[1:, ..., :short] if key in ("activations", "mask") else value[1:]
        for key, value in started.named_buffers()
    }
    single = MODELS[name]().at(**cut)
    loud = world.utterances.replace(
        spectrum=torch.where(world.utterances.mask[..., None], world.utterances.spectrum, 1e3)
    )
    # whatever fills the padding, the start is the same
    restarted = MODELS[name]().start(loud, torch.Generator().manual_seed(1))
    torch.testing.assert_close(dict(restarted.named_buffers()), dict(started.named_buffers()))
    batched = NoisyMixture(AudioVAE(LATENT, Known(world.table)), started, world.mixture.gain)
    unbatched = NoisyMixture(
        AudioVAE(LATENT, Known(world.table[:, 1:, :short])), single, world.mixture.gain[1:].clone()
    )
    for _ in range(10):
        batched.m_step(Latent(world.draws), loud)
        unbatched.m_step(Latent(world.draws[:, 1:, :short]), alone)
    torch.testing.assert_close(batched.noise(loud)[1, :short], unbatched.noise(alone)[0])
    torch.testing.assert_close(batched.gain[1:], unbatched.gain)
    torch.testing.assert_close(batched.noise.log_prior(loud)[1:], unbatched.noise.log_prior(alone))


@every_model
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_single_frame_and_digital_silence_stay_finite(name: str, dtype: torch.dtype) -> None:
    for spectrum in (torch.zeros(1, 4, 3, dtype=dtype), torch.ones(1, 1, 3, dtype=dtype)):
        utterances = Utterances.from_spectrum(spectrum)
        noise = MODELS[name]().start(utterances)
        mixture = NoisyMixture(AudioVAE(LATENT, Known(0 * spectrum[None] + 1e-3)), noise, spectrum.new_ones(1, 1, 1))
        for _ in range(5):
            mixture.m_step(Latent(torch.zeros(1, *spectrum.shape[:2], LATENT)), utterances)
        variance = mixture.noise(utterances)
        assert variance.dtype == dtype
        assert variance.shape == spectrum.shape
        assert variance.isfinite().all()
        assert (variance > 0).all()
        assert mixture.wiener_gain(Latent(torch.zeros(1, 1)), utterances).isfinite().all()


@every_model
def test_the_start_leaves_the_original_unstarted_and_is_repeatable(name: str) -> None:
    world, original = World(name, 1, 2, 4, 3), MODELS[name]()
    starts = [original.start(world.utterances, torch.Generator().manual_seed(2)) for _ in range(2)]
    assert not original.started
    assert all(started.started for started in starts)
    assert torch.equal(starts[0](world.utterances), starts[1](world.utterances))
    level = starts[0](world.utterances).mean((1, 2)) / world.utterances.power.mean((1, 2))
    assert ((level > 0.4) & (level < 2.5)).all()


@pytest.mark.parametrize("rank", [1, 4, 16])
@pytest.mark.parametrize("kind", [NMFNoise, BayesianNMFNoise])
def test_the_level_of_the_start_does_not_depend_on_the_rank(kind: type[NMFNoise], rank: int) -> None:
    utterances = Utterances.from_spectrum(torch.rand(1, 400, 300, dtype=torch.float64))
    started = kind(rank).start(utterances, torch.Generator().manual_seed(0))(utterances)
    level = float((started.mean(1) / utterances.power.mean(1)).mean())
    assert level == pytest.approx(0.6 if kind is NMFNoise else 1.0, rel=0.1)


def test_a_window_that_moves_on_has_padding_of_its_own() -> None:
    power = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    before, after = Utterances.from_spectrum(power), Utterances.from_spectrum(power)
    after.mask[1, 4:] = False
    noise = BayesianNMFNoise(2).start(before, torch.Generator().manual_seed(1)).moved(after, 1)
    assert noise.mask.equal(after.mask)


@every_model
def test_silence_starts_above_nothing(name: str) -> None:
    silence = Utterances.from_spectrum(torch.zeros(1, 4, 3, dtype=torch.complex128))
    assert (MODELS[name]().start(silence, torch.Generator().manual_seed(0))(silence) > 0).all()


@pytest.mark.parametrize(("shape", "spectra", "activations"), [(5.0, 1.0, 1.0), (2.5, 1.5, 3.0)])
def test_the_noise_has_the_power_of_the_recording_a_priori(shape: float, spectra: float, activations: float) -> None:
    noise = BayesianNMFNoise(7, shape, spectra, activations)
    # a Gamma of rate 1 / relevance has the mean shape * relevance, and W and H share the relevance
    square = scipy.stats.invgamma(shape, scale=noise.scale).moment(2)
    assert 7 * spectra * activations * square == pytest.approx(1.0)


@pytest.mark.parametrize("holes", [False, True])
def test_the_level_is_the_mean_over_what_exists_and_is_observed(holes: bool) -> None:
    world = World("stationary", 8, 2, 5, 3)
    world.utterances.mask[1, 3:] = False
    observed = torch.rand(2, 5, 3, generator=torch.Generator().manual_seed(3)) > 0.4
    observed[0, :, 1] = False
    utterances = world.utterances.replace(observed=observed if holes else None)
    found = mean_power(utterances)
    for b, f in itertools.product(range(2), range(3)):
        counted = [n for n in range(5 if b == 0 else 3) if not holes or observed[b, n, f]]
        values = [float(utterances.power[b, n, f]) for n in counted]
        assert float(found[b, f]) == pytest.approx(sum(values) / len(values) if values else 0.0)


def test_nmf_takes_one_published_step_at_a_time() -> None:
    """H first, then W by what H has become, each by the root of a quotient (arXiv 1902.01605, M-step)."""
    world = World("nmf", 9, 1, 3, 4)
    noise, speech, power = world.noise, (world.mixture.gain * world.table)[0, 0], world.utterances.power[0]
    w, h = noise.spectra[0].numpy().copy(), noise.activations[0].numpy().copy()
    for factor, axis in ((h, "kn"), (w, "fk")):
        variance = speech.numpy() + (w @ h).T  # (N, F)
        ratio, inverse = power.numpy() / variance**2, 1 / variance
        other = {"kn": ("fk,nf->kn", w), "fk": ("kn,nf->fk", h)}[axis]
        factor *= np.sqrt(np.einsum(other[0], other[1], ratio) / np.einsum(other[0], other[1], inverse))
    world.m_step()
    np.testing.assert_allclose(world.mixture.noise(world.utterances)[0].numpy(), (w @ h).T, rtol=1e-6)


@every_model
def test_the_story_of_the_mixture_scores_the_prior_of_the_noise(name: str) -> None:
    world = World(name, 2, 2, 3, 4)
    world.utterances.mask[1, 1:] = False
    trace = poutine.trace(world.mixture).get_trace(world.utterances)
    trace.compute_log_prob()
    scored = sum(trace.nodes[site]["log_prob"].sum() for site in trace.observation_nodes)
    torch.testing.assert_close(scored, world.objective().sum())
    torch.testing.assert_close(
        world.mixture.noise.log_prior(world.utterances), log_prior(world.noise, world.utterances)
    )


def test_the_enumerated_bound_gains_the_log_prior_once() -> None:
    utterances = Utterances.from_spectrum(torch.randn(2, 3, 4, dtype=torch.complex64), torch.rand(2, 3, 67, 67))
    prior = ConditionalMinVAE(LATENT, MouthPerceptron((3, 3), LATENT))
    prior.decoder = SpectrumDecoder(LATENT, 3, 4)
    guide = SharedGuide(prior, Precomputed((torch.zeros(2, 3, LATENT), torch.ones(2, 3, LATENT))))
    utterances, prior, guide = utterances.to(torch.float64), prior.double(), guide.double()
    noise = BayesianNMFNoise(3).start(utterances)
    plain = NMFNoise(3).at(spectra=noise.spectra * noise.level[..., None], activations=noise.activations)
    losses = []
    for model in (noise, plain):
        mixture = NoisyMixture(prior, model, torch.ones(2, 1, 1).double())
        torch.manual_seed(0)
        with local_parameters(mixture, guide):
            losses.append(AnalyticTraceEnum_ELBO(max_plate_nesting=2).loss(mixture, guide, utterances))
    assert losses[1] - losses[0] == pytest.approx(float(log_prior(noise, utterances).sum()), rel=1e-6)


def fit(noise: NoiseModel, utterances: Utterances, iterations: int) -> None:
    """Fit noise to a recording of nothing else."""

    def statistics() -> tuple[Tensor, Tensor]:
        inverse = noise(utterances).reciprocal()
        return utterances.power * inverse.square(), inverse

    for _ in range(iterations):
        noise.m_step(statistics)


def shares(noise: BayesianNMFNoise) -> Tensor:
    """Share of each component in the power of the noise, largest first."""
    power = (noise.level[..., None] * noise.spectra).sum(1) * noise.activations.sum(2)
    return (power / power.sum())[0].sort(descending=True).values


def test_two_components_of_sixteen_explain_noise_of_rank_two() -> None:
    generator = torch.Generator().manual_seed(1)
    spectra = torch.rand(40, 2, generator=generator, dtype=torch.float64) ** 4
    activations = torch.rand(2, 80, generator=generator, dtype=torch.float64) ** 4
    variance = (spectra @ activations).mT + 1e-3 * (spectra.sum(1))
    noise = torch.randn(80, 40, generator=generator, dtype=torch.complex128) * variance.sqrt()
    utterances = Utterances.from_spectrum(noise[None])
    bayesian = BayesianNMFNoise(16).start(utterances, generator)
    plain = NMFNoise(16).start(utterances, generator)
    fit(bayesian, utterances, 300)
    fit(plain, utterances, 300)
    share = shares(bayesian)
    assert share[1] > 0.2
    assert share[2:].sum() < 0.02
    assert (bayesian.relevance[0] > 2 * bayesian.relevance.min()).sum() <= 3

    def error(model: NoiseModel) -> float:
        return float((model(utterances)[0] / variance).log().square().mean().sqrt())

    assert error(bayesian) < 0.6 * error(plain)


@pytest.mark.parametrize("kind", ["rain", "train"])
def test_real_noise_needs_fewer_components_than_it_is_given(real_data: Path, kind: str) -> None:
    waveform = read_sound(real_data / "noise" / f"{kind}.flac").mono()[:48000]
    utterances = Utterances.from_spectrum(STFT()(waveform / waveform.square().mean().sqrt()))
    noise = BayesianNMFNoise(16).start(utterances, torch.Generator().manual_seed(0))
    fit(noise, utterances, 200)
    share = shares(noise)
    assert (share > 1e-3).sum() < 12
    assert share[:8].sum() > 0.99


@pytest.mark.parametrize("arguments", [{"rank": 0}, {"shape": 2.0}, {"spectra_shape": 0.9}, {"activations_shape": 0.5}])
def test_priors_without_a_bounded_density_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="noise needs a rank of at least 1 and at most 512, a shape above 2"):
        BayesianNMFNoise(**arguments)


def test_plain_noise_without_components_is_refused() -> None:
    with pytest.raises(ValueError, match="rank of at least 1 and at most 512, not 0"):
        NMFNoise(0)


@every_model
def test_frozen_noise_stays_and_the_gain_still_moves(name: str) -> None:
    world = World(name, 4, 2, 3, 3)
    frozen = FrozenNoise(world.noise)
    assert torch.equal(frozen.start(world.utterances)(world.utterances), world.noise(world.utterances))
    frozen = frozen.start(world.utterances)
    before, gain = world.noise(world.utterances), world.mixture.gain
    mixture = NoisyMixture(world.mixture.speech, frozen, gain)
    mixture.m_step(Latent(world.draws), world.utterances)
    assert torch.equal(mixture.noise(world.utterances), before)
    assert not torch.equal(mixture.gain, gain)
    torch.testing.assert_close(frozen.log_prior(world.utterances), log_prior(world.noise, world.utterances))


def test_frozen_noise_starts_a_noise_that_has_not_started() -> None:
    world = World("nmf", 4, 2, 3, 3)
    frozen = FrozenNoise(NMFNoise(2))
    started = frozen.start(world.utterances, torch.Generator().manual_seed(1))
    assert not frozen.started
    assert started.started
    expected = NMFNoise(2).start(world.utterances, torch.Generator().manual_seed(1))
    assert torch.equal(started(world.utterances), expected(world.utterances))


@every_model
@pytest.mark.parametrize("frames", [7, 10])
def test_a_window_that_moves_on_keeps_the_noise_of_the_frames_it_keeps(name: str, frames: int) -> None:
    power = torch.rand(2, 12, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    before, after = (Utterances.from_spectrum(part) for part in (power[:, :9], power[:, 2 : 2 + frames]))
    noise = MODELS[name]().start(before, torch.Generator().manual_seed(1))
    variance = noise(before)
    moved = noise.moved(after, 2)(after)
    assert moved.shape == (2, frames, 5)
    torch.testing.assert_close(moved[:, :7], variance[:, 2:])
    # and what is new is expected to be as those are in the mean
    torch.testing.assert_close(moved[:, 7:], variance[:, 2:].mean(1, keepdim=True).expand(2, frames - 7, 5))
    assert torch.equal(noise(before), variance)
