"""Engines that move particles, against integrals on a grid, joint normals and closed forms."""

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from minvae_pyro.checkpoints import load_checkpoint
from minvae_pyro.dynamics import MarkovNormal
from minvae_pyro.errors import UserError
from minvae_pyro.guides import MeanFieldGuide, ParticleGuide
from minvae_pyro.inference import LangevinEM, MetropolisHastingsEM, ParticleEM, PointEM
from minvae_pyro.inference.langevin import variation
from minvae_pyro.models import AudioVAE, MixtureOfVAEs, NMFNoise, NoisyMixture, SpeechPrior, SwitchingVAE
from minvae_pyro.networks import SpectrumDecoder
from minvae_pyro.separation import separate
from minvae_pyro.utterances import Plates, Utterances

FREQUENCIES = 5
FEW: dict[str, ParticleEM] = {
    "map": PointEM(iterations=3, steps=2),
    "mcem": MetropolisHastingsEM(iterations=3, steps=4, burn_in=2, chains=2),
    "langevin": LangevinEM(iterations=3, steps=3, burn_in=1, chains=2, step_size=1e-3),
}


def vae(latent: int, seed: int) -> AudioVAE:
    prior = AudioVAE(latent, SpectrumDecoder(latent, 4, FREQUENCIES))
    generator = torch.Generator().manual_seed(seed)
    for parameter in prior.parameters():
        parameter.data = parameter.data + torch.randn(parameter.shape, generator=generator)
    return prior.double()


def recordings(size: int, frames: int) -> Utterances:
    parts = torch.randn(2, size, frames, FREQUENCIES, dtype=torch.float64)
    mouth = torch.zeros((), dtype=torch.float64).expand(size, frames, 67, 67)
    return Utterances.from_spectrum(torch.complex(*parts), mouth)


def mixture_of(prior: SpeechPrior, batch: Utterances) -> NoisyMixture:
    size, frames = batch.mask.shape
    spectra, activations = (0.2 + torch.rand(size, *s).double() for s in ((FREQUENCIES, 2), (2, frames)))
    noise = NMFNoise(2).at(spectra=spectra, activations=activations)
    return NoisyMixture(prior.given(batch), noise, torch.full((size, 1, 1), 1.2, dtype=torch.float64))


def particles(mixture: NoisyMixture, batch: Utterances, chains: int, latent: int, **start: Any) -> ParticleGuide:
    begin = torch.zeros(*batch.mask.shape, latent, dtype=torch.float64)
    return ParticleGuide(chains).start(mixture.speech, batch, (begin, torch.ones_like(begin)), **start)


def one_e_step(engine: ParticleEM, mixture: NoisyMixture, guide: ParticleGuide, batch: Utterances) -> Tensor:
    return next(engine.e_steps(mixture, guide, batch))[0]


def log_density(mixture: NoisyMixture, speech: AudioVAE, batch: Utterances, z: Tensor) -> Tensor:
    """log p(x, z) by hand, (G, B, N), up to a constant."""
    noise = (mixture.noise.spectra @ mixture.noise.activations).mT
    variance = mixture.gain * speech.decoder(z) + noise
    return -(variance.log() + batch.power / variance).sum(-1) - z.square().sum(-1) / 2


@torch.no_grad()
def on_a_grid(
    mixture: NoisyMixture, speech: AudioVAE, batch: Utterances, latent: int, points: int = 241
) -> tuple[Tensor, Tensor]:
    """Grid (G, L) and normalised posterior (G, B, N)."""
    axis = torch.linspace(-6, 6, points, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * latent).reshape(-1, latent)
    logs = log_density(mixture, speech, batch, grid[:, None, None].expand(-1, *batch.mask.shape, -1))
    return grid, logs.softmax(0)


def assert_moments(found: Tensor, grid: Tensor, density: Tensor, tolerance: float) -> None:
    """Means of z, z z' and tanh(2 z) over particles (S, B, N, L) are those of the density on the grid."""
    for moment in (lambda z: z, lambda z: (z[..., None] * z[..., None, :]).flatten(-2), lambda z: (2 * z).tanh()):
        expected = torch.einsum("gbn,gk->bnk", density, moment(grid))
        torch.testing.assert_close(moment(found).mean(0), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("latent", [1, 2])
def test_metropolis_hastings_draws_from_the_posterior(latent: int) -> None:
    batch = recordings(1, 3)
    speech = vae(latent, 1)
    mixture = mixture_of(speech, batch)
    grid, density = on_a_grid(mixture, speech, batch, latent, points=241 if latent == 1 else 121)
    assert (torch.einsum("gbn,gk->bnk", density, grid).abs() > 0.1).any()  # the frames have something to say
    engine = MetropolisHastingsEM(steps=100, burn_in=60, chains=2000, proposal_variance=1.0)
    kept = one_e_step(engine, mixture, particles(mixture, batch, 2000, latent), batch)
    assert kept.shape == (40 * 2000, 1, 3, latent)
    assert_moments(kept, grid, density, 0.05)


@pytest.mark.parametrize("latent", [1, 2])
def test_small_langevin_steps_draw_from_the_posterior(latent: int) -> None:
    batch = recordings(1, 3)
    speech = vae(latent, 1)
    mixture = mixture_of(speech, batch)
    grid, density = on_a_grid(mixture, speech, batch, latent, points=241 if latent == 1 else 121)
    engine = LangevinEM(steps=250, burn_in=200, chains=1000, step_size=0.03)
    kept = one_e_step(engine, mixture, particles(mixture, batch, 1000, latent), batch)
    assert_moments(kept, grid, density, 0.08)


def test_langevin_steps_that_are_too_long_draw_from_something_wider() -> None:
    """On a standard normal the stationary variance is 1 / (1 - step_size / 4), by hand."""
    batch = recordings(1, 2)
    speech = vae(1, 1)
    mixture = mixture_of(speech, batch)
    for parameter in speech.decoder.parameters():
        parameter.data.zero_()  # the sound says nothing of z
    for step_size in (0.1, 0.3, 0.6):
        steps = 150 if step_size < 0.2 else 80
        engine = LangevinEM(steps=steps, burn_in=steps // 2, chains=2000, step_size=step_size)
        kept = one_e_step(engine, mixture, particles(mixture, batch, 2000, 1), batch)
        assert kept.square().mean().item() == pytest.approx(1 / (1 - step_size / 4), rel=0.03)


def test_total_variation_draws_neighbours_together() -> None:
    batch = recordings(1, 2)
    speech = vae(1, 1)
    mixture = mixture_of(speech, batch)
    axis, density = on_a_grid(mixture, speech, batch, 1)
    apart = (axis - axis.T).abs()
    independent = density[:, 0, :1] * density[:, 0, 1:].T
    expected = {}
    for weight in (0.0, 2.0):
        joint = independent * (-weight * apart).exp()
        expected[weight] = (joint * apart).sum() / joint.sum()
    assert expected[2.0] < 0.6 * expected[0.0]
    for weight, distance in expected.items():
        engine = LangevinEM(steps=200, burn_in=150, chains=1000, step_size=0.02, total_variation=weight)
        kept = one_e_step(engine, mixture, particles(mixture, batch, 1000, 1), batch)
        assert (kept[:, 0, 0] - kept[:, 0, 1]).abs().mean().item() == pytest.approx(distance.item(), rel=0.08)


def test_total_variation_ends_where_the_recording_ends() -> None:
    batch = recordings(2, 4)
    batch.mask[1, 2:] = False
    z = torch.randn(3, 2, 4, 2, dtype=torch.float64)
    expected = sum((z[:, 0, n] - z[:, 0, n - 1]).abs().sum() for n in (1, 2, 3)) + (z[:, 1, 1] - z[:, 1, 0]).abs().sum()
    torch.testing.assert_close(variation(z, batch), expected)


def test_acceptance_is_the_integral_and_falls_with_the_step() -> None:
    batch = recordings(1, 1)
    speech = vae(1, 1)
    mixture = mixture_of(speech, batch)
    grid, density = on_a_grid(mixture, speech, batch, 1)
    density = density.squeeze()
    rates = []
    for variance in (0.01, 1.0, 100.0):
        engine = MetropolisHastingsEM(steps=62, burn_in=60, chains=4000, proposal_variance=variance)
        guide = particles(mixture, batch, 4000, 1)
        # begun in the posterior itself
        index = torch.multinomial(density, 4000, replacement=True)
        guide.hold(grid[index].reshape(4000, 1, 1, 1))
        before, after = one_e_step(engine, mixture, guide, batch).squeeze().chunk(2)
        rates.append((before != after).double().mean().item())
        step = torch.linspace(-6, 6, 400, dtype=torch.float64) * math.sqrt(variance)
        moves = (-step.square() / (2 * variance)).softmax(0)
        with torch.no_grad():
            here = log_density(mixture, speech, batch, grid[:, None, None]).squeeze()
            there = log_density(mixture, speech, batch, (grid + step).flatten()[:, None, None, None]).reshape(
                len(grid), -1
            )
        expected = torch.einsum("g,m,gm->", density, moves, (there - here[:, None]).clamp(max=0).exp())
        assert rates[-1] == pytest.approx(expected.item(), abs=0.04)
    assert rates[0] > 0.9 > 0.3 > rates[2]
    assert rates == sorted(rates, reverse=True)


class Walk(SpeechPrior):
    """z[n] = a z[n - 1] + noise."""

    latent_dim = 1

    def __init__(self, scale: float = 0.4) -> None:
        super().__init__()
        self.scale = scale

    def latent(self, utterances: Utterances, plates: Plates) -> Tensor:
        first = torch.full((len(utterances), 1), 0.5).double(), torch.full((len(utterances), 1), 0.8).double()

        def transition(previous: Tensor, frames: slice) -> tuple[Tensor, Tensor]:
            return 0.9 * previous + 0.1, torch.full_like(previous, self.scale)

        with plates.every_frame():
            return pyro.sample("z", MarkovNormal(first, transition, utterances.frames))


class Sensor(NoisyMixture):
    """x[n] = c z[n] + noise: with a walk in front, everything is jointly normal."""

    def likelihood(self, code: Tensor, utterances: Utterances) -> dist.Distribution:
        return dist.Normal(code * torch.tensor([1.0, -0.5]).double(), 0.7).to_event(1)


@pytest.mark.parametrize(
    "engine",
    [
        MetropolisHastingsEM(steps=260, burn_in=220, chains=4000, proposal_variance=0.3),
        LangevinEM(steps=400, burn_in=360, chains=4000, step_size=0.05),
    ],
)
def test_frames_that_hang_together_are_drawn_from_the_joint_normal(engine: ParticleEM) -> None:
    frames = 5
    observed = torch.randn(1, frames, 2, dtype=torch.float64)
    batch = Utterances.from_spectrum(observed)
    batch.mask[0, -1] = False
    mixture = Sensor(Walk(), NMFNoise(1), torch.ones(1, 1, 1).double())
    guide = particles(mixture, batch, engine.chains, 1)
    kept = one_e_step(engine, mixture, guide, batch)[:, 0, :, 0]
    assert (kept[:, -1] == 0).all()  # padding stays where it was
    # by hand: precision of the walk plus that of the sensor
    count = frames - 1
    precision, shift = torch.zeros(count, count).double(), torch.zeros(count).double()
    precision[0, 0], shift[0] = 1 / 0.64, 0.5 / 0.64
    for n in range(1, count):
        tie = torch.zeros(count).double()
        tie[n], tie[n - 1] = 1.0, -0.9
        precision += tie.outer(tie) / 0.16
        shift += 0.1 * tie / 0.16
    sensor = torch.tensor([1.0, -0.5]).double()
    precision += torch.eye(count).double() * sensor.square().sum() / 0.49
    shift += observed[0, :count] @ sensor / 0.49
    covariance = precision.inverse()
    assert covariance[0, 1] > 0.3 * covariance[0, 0]  # frames do hang together
    torch.testing.assert_close(kept[:, :count].mean(0), covariance @ shift, rtol=0, atol=0.03)
    torch.testing.assert_close(kept[:, :count].T.cov(), covariance, rtol=0, atol=0.01)


@pytest.mark.parametrize("scale", [1e-3, 0.1])
def test_langevin_steps_fit_into_what_room_the_prior_leaves(scale: float) -> None:
    """Steps that would fly apart at the scale of one do not, and a start far off is no harm."""
    batch = Utterances.from_spectrum(torch.randn(1, 6, 2, dtype=torch.float64))
    mixture = Sensor(Walk(scale), NMFNoise(1), torch.ones(1, 1, 1).double())
    engine = LangevinEM(steps=300, burn_in=250, chains=500, step_size=0.1)
    guide = particles(mixture, batch, 500, 1)
    for start in (1 - 0.5 * 0.9 ** torch.arange(6.0).double(), torch.full((6,), 1e6).double()):
        guide.hold(start[None, None, :, None].expand(500, -1, -1, -1))
        kept = one_e_step(engine, mixture, guide, batch)[:, 0, :, 0]
        assert (kept - start).abs().max() < 310  # 300 drifts of at most one scale each, and noise
        if start[0] < 1:
            away = kept[:, 1:] - 0.9 * kept[:, :-1] - 0.1
            assert away.square().mean().sqrt().item() == pytest.approx(scale, rel=0.15)


@pytest.mark.parametrize("kind", [MixtureOfVAEs, SwitchingVAE])
@pytest.mark.parametrize("engine", ["mcem", "langevin"])
def test_alpha_has_its_exact_probability(kind: type[MixtureOfVAEs], engine: str) -> None:
    """The mean over particles of p(alpha | z, x) is p(alpha | x): z integrated on a grid, paths of alpha summed."""
    batch, frames = recordings(1, 3), 3
    visual, audio = vae(1, 3), vae(1, 4)
    prior = kind(audio, visual).double()
    mixture = mixture_of(prior, batch)
    axis = torch.linspace(-7, 7, 401, dtype=torch.float64)[:, None]
    with torch.no_grad():
        evidence = torch.stack(
            [log_density(mixture, one, batch, axis[:, None, None].expand(-1, 1, frames, -1)) for one in (visual, audio)]
        ).logsumexp(1)[:, 0]
    alpha: Any = mixture.speech.alpha_prior(batch)
    paths = torch.tensor(list(itertools.product((0.0, 1.0), repeat=frames)), dtype=torch.float64)
    said = torch.stack([evidence[path.long(), range(frames)].sum() for path in paths])
    weight = (said + torch.stack([alpha.log_prob(path[None]).sum() for path in paths])).softmax(0)
    expected = weight @ paths
    chains = 1500
    moves: ParticleEM = (
        MetropolisHastingsEM(steps=120, burn_in=110, chains=chains, proposal_variance=1.0)
        if engine == "mcem"
        else LangevinEM(steps=250, burn_in=240, chains=chains, step_size=0.1)
    )
    guide = particles(mixture, batch, chains, 1)
    guide.hold(one_e_step(moves, mixture, guide, batch))
    guide.refresh(mixture, batch)
    assert guide.responsibility is not None
    torch.testing.assert_close(guide.responsibility[0], expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("latent", [1, 2])
def test_map_finds_the_mode(latent: int) -> None:
    batch = recordings(1, 3)
    speech = vae(latent, 1)
    mixture = mixture_of(speech, batch)
    points = 241 if latent == 1 else 121
    grid, density = on_a_grid(mixture, speech, batch, latent, points)
    mode = grid[density.argmax(0)]
    guide = particles(mixture, batch, 1, latent)
    guide.hold(mode[None] + 0.2)
    found = one_e_step(PointEM(steps=800, learning_rate=0.01), mixture, guide, batch).requires_grad_()
    assert (found[0] - mode).abs().max() < 12 / (points - 1)  # a cell of the grid
    (slope,) = torch.autograd.grad(log_density(mixture, speech, batch, found).sum(), found)
    assert slope.abs().max() < 1e-3


def prior_of(kind: str) -> SpeechPrior:
    """Plain, a mixture of two with alpha free in every frame, or with a chain of alpha."""
    if kind == "plain":
        return vae(2, 1)
    return {"two": MixtureOfVAEs, "chain": SwitchingVAE}[kind](vae(2, 1), vae(2, 2)).double()


def run(engine: ParticleEM, mixture: NoisyMixture, batch: Utterances, mean: Tensor) -> tuple[Tensor, list[float]]:
    guide = engine.posterior(MeanFieldGuide().start(mixture.speech, batch, (mean, torch.ones_like(mean))))
    objective = engine(mixture, guide, batch)
    return engine.gain(mixture, guide, batch, 1), objective


@pytest.mark.parametrize("kind", ["plain", "two", "chain"])
def test_the_objective_of_map_does_not_fall(kind: str) -> None:
    batch = recordings(2, 6)
    mixture = mixture_of(prior_of(kind), batch)
    _, objective = run(
        PointEM(iterations=60, steps=1, learning_rate=0.005), mixture, batch, torch.zeros(2, 6, 2).double()
    )
    assert objective[-1] > objective[0] + 0.5
    assert min(after - before for before, after in itertools.pairwise(objective)) > -1e-3


@pytest.mark.parametrize("kind", ["plain", "two"])
def test_map_knows_nothing_of_the_order_of_frames(kind: str) -> None:
    batch = recordings(1, 6)
    prior = prior_of(kind)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    mean = torch.randn(1, 6, 2, dtype=torch.float64)
    mixture = mixture_of(prior, batch)
    shuffled = batch.replace(spectrum=batch.spectrum[:, order], heard=batch.heard[:, order])
    noise = mixture.noise.at(activations=mixture.noise.activations[..., order])
    other = NoisyMixture(prior.given(shuffled), noise, mixture.gain)
    engine = PointEM(iterations=10)
    (gain, _), (gain_shuffled, _) = run(engine, mixture, batch, mean), run(engine, other, shuffled, mean[:, order])
    torch.testing.assert_close(gain_shuffled, gain[:, order], rtol=1e-7, atol=1e-9)
    assert (gain_shuffled - gain).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["plain", "chain"])
def test_map_of_a_padded_batch_is_that_of_the_utterances_one_by_one(kind: str) -> None:
    batch = recordings(2, 5)
    for name in ("mask", "mouth_seen"):
        getattr(batch, name)[1, 3:] = False
    prior = prior_of(kind)
    mixture = mixture_of(prior, batch)
    alone = Utterances.from_spectrum(batch.spectrum[1:, :3], batch.mouth[1:, :3])
    noise = NMFNoise(2).at(spectra=mixture.noise.spectra[1:], activations=mixture.noise.activations[1:, :, :3])
    mixture_alone = NoisyMixture(prior.given(alone), noise, mixture.gain[1:])
    mean = torch.randn(2, 5, 2, dtype=torch.float64)
    loud = batch.replace(spectrum=torch.where(batch.mask[..., None], batch.spectrum, 100j))
    gain, _ = run(PointEM(iterations=8), mixture, loud, mean)
    gain_alone, _ = run(PointEM(iterations=8), mixture_alone, alone, mean[1:, :3])
    torch.testing.assert_close(gain[1, :3], gain_alone[0], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", FEW)
def test_what_every_engine_does_with_particles(name: str) -> None:
    engine, batch = FEW[name], recordings(2, 4)
    batch.mask[1, -1] = False
    prior = vae(2, 1)
    weights = copy.deepcopy(prior.state_dict())
    mixture = mixture_of(prior, batch)
    mean = torch.randn(2, 4, 2, dtype=torch.float64)
    start = MeanFieldGuide().start(prior, batch, (mean, torch.ones_like(mean)))
    with pytest.raises(UserError, match="moves particles, which MeanFieldGuide has not"):
        engine(mixture, start, batch)
    guide = engine.posterior(start)
    torch.testing.assert_close(guide.heads, mean.expand(engine.chains, -1, -1, -1))
    before = mixture.noise(batch)
    told: list[Any] = []
    objective = engine(mixture, guide, batch, callback=lambda *a: told.append(a))
    assert told == [(n + 1, 3, value) for n, value in enumerate(objective)]
    assert not torch.equal(mixture.noise(batch), before)
    # the trained weights stay, and get no gradient
    torch.testing.assert_close(prior.state_dict(), weights, rtol=0, atol=0)
    assert all(p.grad is None and p.requires_grad for p in prior.parameters())
    kept = {"map": 1, "mcem": 2 * 2, "langevin": 2 * 2}[name]
    assert guide.draw(1)["z"].shape == (kept, 2, 4, 2)
    torch.testing.assert_close(guide.heads[:, 1, -1], mean[1, -1].expand(engine.chains, -1))
    # the gain is the mean over all that is kept
    speech = mixture.gain * prior.decoder(guide.draw(1)["z"]).detach()
    torch.testing.assert_close(
        engine.gain(mixture, guide, batch, 1), (speech / (speech + mixture.noise(batch))).mean(0)
    )


@pytest.mark.parametrize("name", FEW)
def test_q_of_alpha_stays_where_it_is_given(name: str) -> None:
    batch = recordings(2, 4)
    prior = prior_of("two")
    for given in (True, False):
        mixture = mixture_of(prior, batch)
        mean, odds = torch.zeros(2, 4, 2).double(), torch.full((2, 4), 0.7).double()
        start = MeanFieldGuide().start(prior, batch, (mean, mean + 1), log_odds=odds if given else None)
        guide = FEW[name].posterior(start)
        before = guide.alpha.mean.clone()
        FEW[name](mixture, guide, batch)
        assert torch.equal(guide.alpha.mean, before) is given


@pytest.mark.parametrize("name", FEW)
def test_ten_times_the_input_gives_ten_times_the_output(name: str, tiny_checkpoint: Any, utterance: Any) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    waveform = torch.as_tensor(utterance.waveform).float()[None]
    soft, loud = (
        separate(checkpoint, sound, None, progress=lambda *told: None, engine=FEW[name])
        for sound in (waveform, 10 * waveform)
    )
    assert soft.speech.abs().max() > 0
    torch.testing.assert_close(loud.speech, 10 * soft.speech, rtol=1e-3, atol=1e-3 * float(loud.speech.abs().max()))


@pytest.mark.parametrize(
    "make",
    [
        lambda: PointEM(steps=0),
        lambda: MetropolisHastingsEM(chains=0),
        lambda: MetropolisHastingsEM(steps=4, burn_in=4),
        lambda: MetropolisHastingsEM(proposal_variance=0.0),
        lambda: LangevinEM(steps=3, burn_in=3),
        lambda: LangevinEM(step_size=0.0),
        lambda: LangevinEM(total_variation=-1.0),
    ],
)
def test_impossible_engines_are_refused(make: Callable[[], ParticleEM]) -> None:
    with pytest.raises(ValueError, match="needs"):
        make()
