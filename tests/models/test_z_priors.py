import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from minvae_pyro.models import (
    AudioVAE,
    ConditionalComponent,
    ConditionalMinVAE,
    ConstantComponent,
    MinVAE,
    SharpenedComponent,
    StandardComponent,
    reweigh,
    sharpen,
)
from minvae_pyro.nn.cached import Precomputed
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.utterances import Utterances


class Brightness(nn.Module):
    """Says how bright the mouth is; counts how often it is asked."""

    calls = 0

    def forward(self, mouth: Tensor, mouth_seen: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        mean = mouth.mean((-2, -1))[..., None].expand(*mouth_seen.shape, 2)
        return mean, 0.5 + mean


@pytest.fixture
def utterances() -> Utterances:
    batch = Utterances.from_spectrum(torch.rand(2, 3, 4), torch.rand(2, 3, 67, 67))
    batch.mouth_seen[1, 0] = False
    return batch


def test_constant_components_hold_one_variance_for_all_dimensions(utterances: Utterances) -> None:
    component = ConstantComponent(3)
    component.log_scale.data.fill_(0.5)
    mean, scale = component(utterances)
    assert mean.shape == (3,)
    torch.testing.assert_close(scale, torch.tensor(0.5).exp().expand(3))
    assert {name for name, _ in component.named_parameters()} == {"mean", "log_scale"}


def test_the_standard_component_learns_nothing(utterances: Utterances) -> None:
    mean, scale = StandardComponent(3)(utterances)
    assert mean.tolist() == [0, 0, 0]
    assert scale.tolist() == [1, 1, 1]
    assert list(StandardComponent(3).parameters()) == []


def test_the_conditional_component_is_standard_normal_where_unseen(utterances: Utterances) -> None:
    mean, scale = ConditionalComponent(Brightness())(utterances)
    bright = utterances.mouth.mean((-2, -1))
    torch.testing.assert_close(mean[0, :, 0], bright[0])
    torch.testing.assert_close(scale[0, :, 1], 0.5 + bright[0])
    assert mean[1, 0].tolist() == [0, 0]
    assert scale[1, 0].tolist() == [1, 1]


@pytest.mark.parametrize("temperature", [1.0, 0.15])
def test_sharpening_multiplies_the_variance_and_leaves_the_original(utterances: Utterances, temperature: float) -> None:
    prior = ConditionalMinVAE(2, Brightness())
    sharp = sharpen(prior, temperature)
    mean, scale = prior.visual_component(utterances)
    sharp_mean, sharp_scale = sharp.visual_component(utterances)
    torch.testing.assert_close(sharp_mean, mean)
    factor = torch.where(utterances.mouth_seen, temperature, 1.0)[..., None]
    torch.testing.assert_close(sharp_scale.square(), factor * scale.square())
    assert isinstance(prior.visual_component, ConditionalComponent)
    assert isinstance(sharp.visual_component, SharpenedComponent)
    assert sharp.decoder is prior.decoder


def test_a_prior_without_a_visual_component_is_left_alone() -> None:
    prior = AudioVAE(2)
    assert sharpen(prior, 0.1) is prior


def test_reweighing_sets_pi_where_a_mouth_is_seen_and_leaves_the_original(utterances: Utterances) -> None:
    prior = ConditionalMinVAE(2, Brightness())
    before = prior.alpha_prior(utterances).logits
    weighed = reweigh(prior, 0.9)
    pi = weighed.alpha_prior(utterances).probs
    torch.testing.assert_close(pi[utterances.mouth_seen], torch.full_like(pi[utterances.mouth_seen], 0.9))
    assert (pi[~utterances.mouth_seen] > 1 - 1e-6).all()
    torch.testing.assert_close(prior.alpha_prior(utterances).logits, before)
    assert weighed.visual_component is prior.visual_component


def test_there_is_nothing_to_reweigh_without_alpha_or_without_a_weight() -> None:
    audio, mixture = AudioVAE(2), ConditionalMinVAE(2, Brightness())
    assert reweigh(audio, 0.9) is audio
    assert reweigh(mixture, None) is mixture


def test_given_asks_the_network_once_and_leaves_the_original(utterances: Utterances) -> None:
    network = Brightness()
    prior = ConditionalMinVAE(2, network)
    given = prior.condition_on(utterances)
    assert network.calls == 1
    for alpha in (0.0, 1.0):
        expected = prior.z_prior(torch.full((2, 3), alpha), utterances).base_dist
        found = given.z_prior(torch.full((2, 3), alpha), utterances).base_dist
        torch.testing.assert_close(found.loc, expected.loc)
        torch.testing.assert_close(found.scale, expected.scale)
    torch.testing.assert_close(given.alpha_prior(utterances).logits, prior.alpha_prior(utterances).logits)
    calls = network.calls
    given.z_prior(torch.zeros(2, 3), utterances)
    assert network.calls == calls
    given.m_step(dist.Bernoulli(torch.full((2, 3), 0.9)), utterances)
    assert prior.alpha_prior.logit == 0
    assert isinstance(given.visual_component, Precomputed)
    assert isinstance(prior.visual_component, ConditionalComponent)


def test_pi_is_not_re_estimated_before_it_is_the_recordings_own(utterances: Utterances) -> None:
    prior = MinVAE(2)
    prior.m_step(dist.Bernoulli(torch.full((2, 3), 0.9)), utterances)
    assert prior.alpha_prior.logit == 0


def test_default_networks_have_the_size_of_the_model(utterances: Utterances) -> None:
    prior = ConditionalMinVAE(latent_dim=5).eval()
    assert prior.z_prior(torch.zeros(2, 3), utterances).sample().shape == (2, 3, 5)


def test_components_can_be_mixed_at_will(utterances: Utterances) -> None:
    prior = MinVAE(
        2, audio_component=ConstantComponent(2), visual_component=ConditionalComponent(MouthPerceptron((3, 3), 2))
    )
    picked = prior.z_prior(torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), utterances).base_dist
    assert picked.loc[0, 0].tolist() == [0, 0]
    assert (picked.loc[0, 1] != 0).all()
