"""Particles whose frames hang together, in z or in alpha: joint normals by hand, and sums over all paths."""

import itertools
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from minvae_pyro.inference import LangevinEM, MetropolisHastingsEM, ParticleEM
from minvae_pyro.models import Latent, MixtureOfVAEs, NMFNoise, NoisyMixture, SpeechPrior, SwitchingVAE
from minvae_pyro.probability.gauss_markov import MarkovNormal
from minvae_pyro.utterances import Plates, Utterances


class Walk(SpeechPrior):
    """z[n] = a z[n - 1] + noise."""

    latent_dim = 1

    def __init__(self, scale: float = 0.4) -> None:
        super().__init__()
        self.scale = scale

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        first = torch.full((len(utterances), 1), 0.5).double(), torch.full((len(utterances), 1), 0.8).double()

        def transition(previous: Tensor, frames: slice) -> tuple[Tensor, Tensor]:
            return 0.9 * previous + 0.1, torch.full_like(previous, self.scale)

        with plates.every_frame():
            return Latent(pyro.sample("z", MarkovNormal(first, transition, utterances.frames)))

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        raise AssertionError("its likelihood is a normal")


class Sensor(NoisyMixture):
    """x[n] = c z[n] + noise: with a walk in front, everything is jointly normal."""

    def likelihood(self, latent: Latent, utterances: Utterances) -> dist.Distribution:
        return dist.Normal(latent.z * torch.tensor([1.0, -0.5]).double(), 0.7).to_event(1)


@pytest.mark.parametrize(
    "engine",
    [
        MetropolisHastingsEM(steps=260, burn_in=220, chains=4000, proposal_variance=0.3),
        LangevinEM(steps=400, burn_in=360, chains=4000, step_size=0.05),
    ],
)
def test_frames_that_hang_together_are_drawn_from_the_joint_normal(small: Any, engine: ParticleEM) -> None:
    frames = 5
    observed = torch.randn(1, frames, 2, dtype=torch.float64)
    batch = Utterances.from_spectrum(observed)
    batch.mask[0, -1] = False
    mixture = Sensor(Walk(), NMFNoise(1), torch.ones(1, 1, 1).double())
    guide = small.particles(mixture, batch, engine.chains, 1)
    kept = small.one_e_step(engine, mixture, guide, batch)[:, 0, :, 0]
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


class Heard(SpeechPrior):
    """z[n] ~ N(0.5, 0.8^2) by itself; what is heard in a frame depends on the two beside it, or on the one before."""

    latent_dim = 1
    reach = 1  # type: ignore[assignment]

    def latent(self, utterances: Utterances, plates: Plates) -> Latent:
        with plates.every_frame():
            return Latent(pyro.sample("z", dist.Normal(torch.full((1,), 0.5).double(), 0.8).to_event(1)))

    def speech_variance(self, latent: Latent, utterances: Utterances) -> Tensor:
        raise AssertionError("its likelihood is a normal")


class WideSensor(NoisyMixture):
    """x[n] = c (z[n] + 0.9 z[n - 1] - 0.4 z[n + 1]) + noise."""

    def likelihood(self, latent: Latent, utterances: Utterances) -> dist.Distribution:
        z = latent.z
        none = torch.zeros_like(z[..., :1, :])
        beside = 0.9 * torch.cat([none, z[..., :-1, :]], -2) - 0.4 * torch.cat([z[..., 1:, :], none], -2)
        return dist.Normal((z + beside) * torch.tensor([1.0, -0.5]).double(), 0.7).to_event(1)


@pytest.mark.parametrize(
    "engine",
    [
        MetropolisHastingsEM(steps=200, burn_in=160, chains=4000, proposal_variance=0.6),
        LangevinEM(steps=300, burn_in=260, chains=4000, step_size=0.05),
    ],
)
def test_frames_heard_through_their_neighbours_are_drawn_from_the_joint_normal(small: Any, engine: ParticleEM) -> None:
    frames = 5
    batch = Utterances.from_spectrum(torch.randn(1, frames, 2, dtype=torch.float64))
    mixture = WideSensor(Heard(), NMFNoise(1), torch.ones(1, 1, 1).double())
    guide = small.particles(mixture, batch, engine.chains, 1)
    kept = small.one_e_step(engine, mixture, guide, batch)[:, 0, :, 0]
    # by hand: x = (M z) c^T + noise
    blur = torch.eye(frames) + 0.9 * torch.eye(frames).roll(1, 0).tril(-1) - 0.4 * torch.eye(frames).roll(-1, 0).triu(1)
    blur, sensor = blur.double(), torch.tensor([1.0, -0.5]).double()
    covariance = (torch.eye(frames).double() / 0.64 + blur.T @ blur * sensor.square().sum() / 0.49).inverse()
    mean = covariance @ (0.5 / 0.64 + blur.T @ (batch.spectrum[0] @ sensor) / 0.49)
    correlation = covariance / covariance.diag().outer(covariance.diag()).sqrt()
    assert correlation.triu(1).abs().max() > 0.25  # frames do hang together
    torch.testing.assert_close(kept.mean(0), mean, rtol=0, atol=0.03)
    torch.testing.assert_close(kept.T.cov(), covariance, rtol=0, atol=0.02)


@pytest.mark.parametrize("scale", [1e-3, 0.1])
def test_langevin_steps_fit_into_what_room_the_prior_leaves(small: Any, scale: float) -> None:
    """Steps that would fly apart at the scale of one do not, and a start far off is no harm."""
    batch = Utterances.from_spectrum(torch.randn(1, 6, 2, dtype=torch.float64))
    mixture = Sensor(Walk(scale), NMFNoise(1), torch.ones(1, 1, 1).double())
    engine = LangevinEM(steps=300, burn_in=250, chains=500, step_size=0.1)
    guide = small.particles(mixture, batch, 500, 1)
    for start in (1 - 0.5 * 0.9 ** torch.arange(6.0).double(), torch.full((6,), 1e6).double()):
        guide.set_particles(start[None, None, :, None].expand(500, -1, -1, -1))
        kept = small.one_e_step(engine, mixture, guide, batch)[:, 0, :, 0]
        assert (kept - start).abs().max() < 310  # 300 drifts of at most one scale each, and noise
        if start[0] < 1:
            away = kept[:, 1:] - 0.9 * kept[:, :-1] - 0.1
            assert away.square().mean().sqrt().item() == pytest.approx(scale, rel=0.15)


@pytest.mark.parametrize("kind", [MixtureOfVAEs, SwitchingVAE])
@pytest.mark.parametrize("engine", ["mcem", "langevin"])
def test_alpha_has_its_exact_probability(small: Any, kind: type[MixtureOfVAEs], engine: str) -> None:
    """The mean over particles of p(alpha | z, x) is p(alpha | x): z integrated on a grid, paths of alpha summed."""
    batch, frames = small.recordings(1, 3), 3
    visual, audio = small.vae(1, 3), small.vae(1, 4)
    prior = kind(audio, visual).double()
    mixture = small.mixture_of(prior, batch)
    axis = torch.linspace(-7, 7, 401, dtype=torch.float64)[:, None]
    with torch.no_grad():
        evidence = torch.stack(
            [
                small.log_density(mixture, one, batch, axis[:, None, None].expand(-1, 1, frames, -1))
                for one in (visual, audio)
            ]
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
    guide = small.particles(mixture, batch, chains, 1)
    guide.set_particles(small.one_e_step(moves, mixture, guide, batch))
    guide.update_alpha(mixture, batch)
    assert guide.responsibility is not None
    torch.testing.assert_close(guide.responsibility[0], expected, rtol=0, atol=0.02)
