"""The deep Kalman filter tells the story that its docstring draws, with the mouth and without."""

import pytest
import torch
from pyro import poutine
from torch import Tensor, nn

from minvae_pyro.models import DeepKalmanFilter, MouthFeatures
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.nn.recurrent import DeepDecoder, Fusion, GatedTransition
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.likelihoods import ComplexNormal
from minvae_pyro.utterances import Utterances

LATENT, FREQUENCIES, SIGHT = 3, 4, 2


class CountingMouth(MouthPerceptron):
    """A small mouth network that counts how often it is asked."""

    asked = 0

    def forward(self, mouth: Tensor, mouth_seen: Tensor) -> tuple[Tensor, Tensor]:
        self.asked += 1
        return super().forward(mouth, mouth_seen)


def heard_only() -> DeepKalmanFilter:
    return DeepKalmanFilter(
        LATENT, GatedTransition(LATENT, 4, nn.Sigmoid()), DeepDecoder(LATENT, [4], FREQUENCIES)
    ).double()


def sighted() -> DeepKalmanFilter:
    return DeepKalmanFilter(
        LATENT,
        GatedTransition(LATENT, 4, fusion=Fusion(LATENT, SIGHT)),
        DeepDecoder(LATENT, [4], FREQUENCIES, Fusion(4, SIGHT)),
        MouthFeatures(CountingMouth((4, 4), SIGHT)),
    ).double()


PRIORS = {"sound": heard_only, "visual_features": sighted}


def utterances(size: int, frames: int, complex_values: bool = False) -> Utterances:
    spectrum = torch.randn(size, frames, FREQUENCIES, dtype=torch.complex128)
    mouth = torch.rand(size, frames, 67, 67, dtype=torch.float64)
    seen = torch.rand(size, frames) < 0.7
    batch = Utterances.from_spectrum(spectrum if complex_values else spectrum.abs().square(), mouth, seen)
    batch.mask[-1, -1] = False
    return batch


@pytest.mark.parametrize("complex_values", [False, True])
@pytest.mark.parametrize("shape", [(2, 2), (1, 1), (3, 5)])
@pytest.mark.parametrize("name", PRIORS)
def test_sites_and_densities_frame_by_frame(name: str, shape: tuple[int, int], complex_values: bool) -> None:
    prior, batch = PRIORS[name](), utterances(*shape, complex_values)
    trace = poutine.trace(prior).get_trace(batch)
    assert [site for site in trace.stochastic_nodes if site not in ("utterances", "frames")] == ["z"]
    assert trace.observation_nodes == ["s"]
    trace.compute_log_prob()
    z = trace.nodes["z"]["value"]
    assert z.shape == (*shape, LATENT)
    for b in range(shape[0]):
        for n in range(shape[1]):
            previous = z[b, n - 1] if n else torch.zeros(LATENT, dtype=torch.float64)
            features = []
            if name == "visual_features":
                mean, _ = prior.visual_features.network(batch.mouth[b, n], batch.mouth_seen[b, n])
                features = [mean * batch.mouth_seen[b, n]]
            mean, scale = prior.transition(previous, *features)
            density = torch.distributions.Normal(mean, scale).log_prob(z[b, n]).sum()
            torch.testing.assert_close(trace.nodes["z"]["log_prob"][b, n], density * batch.mask[b, n])
            variance = prior.decoder(z[b, n], *features)
            density = -variance.log() - batch.power[b, n] / variance
            density = density.sum() - (FREQUENCIES * torch.tensor(torch.pi).double().log() if complex_values else 0)
            torch.testing.assert_close(trace.nodes["s"]["log_prob"][b, n], density * batch.mask[b, n])


def test_unseen_mouths_say_nothing() -> None:
    prior, batch = sighted(), utterances(2, 6)
    z = torch.randn(3, 2, 6, LATENT, dtype=torch.float64)
    hidden = (~batch.mouth_seen)[..., None, None]
    other = batch.replace(mouth=torch.where(hidden, torch.rand_like(batch.mouth), batch.mouth))
    torch.testing.assert_close(prior.z_prior(batch).log_prob(z), prior.z_prior(other).log_prob(z), rtol=0, atol=0)
    torch.testing.assert_close(
        prior.speech_variance(Latent(z), batch), prior.speech_variance(Latent(z), other), rtol=0, atol=0
    )
    blind = batch.without_mouth()
    features = torch.zeros(SIGHT, dtype=torch.float64)
    mean, scale = prior.transition(z[..., :-1, :], features)
    density = torch.distributions.Normal(mean, scale).log_prob(z[..., 1:, :]).sum(-1)
    torch.testing.assert_close(prior.z_prior(blind).log_prob(z)[..., 1:], density)


def test_the_mouth_sets_prior_and_variance() -> None:
    prior, batch = sighted(), utterances(2, 3)
    batch = batch.replace(mouth_seen=torch.ones_like(batch.mouth_seen))
    other = batch.replace(mouth=torch.rand_like(batch.mouth))
    z = torch.randn(2, 3, LATENT, dtype=torch.float64)
    assert (prior.z_prior(batch).log_prob(z) != prior.z_prior(other).log_prob(z)).all()
    assert (prior.speech_variance(Latent(z), batch) != prior.speech_variance(Latent(z), other)).all()


def test_the_network_on_the_mouth_runs_once_a_story() -> None:
    prior, batch = sighted(), utterances(2, 3)
    prior(batch)
    assert prior.visual_features.network.asked == 1


def test_given_is_the_same_prior_and_does_not_look_again() -> None:
    prior, batch = sighted(), utterances(2, 3)
    given = prior.condition_on(batch)
    assert prior.visual_features.network.asked == 1
    z = torch.randn(4, 2, 3, LATENT, dtype=torch.float64)
    found = given.z_prior(batch).log_prob(z), given.speech_variance(Latent(z), batch)
    assert prior.visual_features.network.asked == 1
    torch.testing.assert_close(found, (prior.z_prior(batch).log_prob(z), prior.speech_variance(Latent(z), batch)))
    assert isinstance(prior.visual_features, MouthFeatures)
    assert not found[0].grad_fn or all(p.grad is None for p in prior.visual_features.parameters())
    sound = heard_only()
    assert sound.condition_on(batch) is sound


def test_speech_drawn_from_the_story_has_the_decoders_variance() -> None:
    prior, batch = heard_only(), utterances(1, 3, complex_values=True)
    z = torch.randn(1, 3, LATENT, dtype=torch.float64)
    likelihood = prior.likelihood(Latent(z), batch).base_dist
    assert isinstance(likelihood, ComplexNormal)
    torch.testing.assert_close(likelihood.mean_power, prior.decoder(z))
