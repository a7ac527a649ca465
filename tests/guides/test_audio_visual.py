"""The audio-visual guide, and the bounds of the priors whose decoder sees the mouth, written by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from minvae_pyro.guides import (
    AudioVisualGuide,
    CleanAudioEncoder,
    FixedResponsibility,
    MixtureGuide,
    MouthEncoder,
    NoisyAudioEncoder,
    SharedGuide,
)
from minvae_pyro.models import AudioVisualVAE, ConditionalComponent, ConditionalVAE, MinVAEv2, MouthFeatures
from minvae_pyro.nn.audio import SpectrumEncoder
from minvae_pyro.nn.audio_visual import ConcatenatingDecoder, ConcatenatingEncoder, FeaturePerceptron
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.registry.build import build
from minvae_pyro.utterances import Utterances

SEED, LATENT, SIGHT, FREQUENCIES = 5, 3, 2, 5
SHAPES = [(2, 3), (1, 1), (2, 1), (1, 2)]


def scattered(module: nn.Module) -> Any:
    for parameter in module.parameters():
        parameter.data = parameter.data + 0.3 * torch.randn_like(parameter)
    return module.double()


def pair(kind: type[AudioVisualVAE]) -> tuple[Any, AudioVisualGuide]:
    parts: list[nn.Module] = [
        MouthFeatures(MouthPerceptron((4, 4), SIGHT)),
        ConcatenatingDecoder(LATENT, SIGHT, 4, FREQUENCIES),
    ]
    if kind is ConditionalVAE:
        parts.append(FeaturePerceptron(SIGHT, 4, LATENT))
    prior = scattered(kind(LATENT, *parts))
    return prior, scattered(AudioVisualGuide(prior, ConcatenatingEncoder(FREQUENCIES, SIGHT, 4, LATENT)))


def mixture(family: Callable[..., MixtureGuide]) -> tuple[Any, MixtureGuide]:
    eyes, sound = MouthPerceptron((4, 4), LATENT), SpectrumEncoder(FREQUENCIES, 4, LATENT)
    decoder = ConcatenatingDecoder(LATENT, LATENT, 4, FREQUENCIES)
    prior = scattered(MinVAEv2(LATENT, decoder, visual_component=ConditionalComponent(eyes)))
    rule = FixedResponsibility(0.2)
    if family is SharedGuide:
        return prior, scattered(SharedGuide(prior, CleanAudioEncoder(sound), rule))
    seen = MouthEncoder(MouthPerceptron((4, 4), LATENT))
    return prior, scattered(MixtureGuide(prior, NoisyAudioEncoder(sound), seen, rule))


def loss_of(prior: Any, guide: Any, batch: Utterances) -> Tensor:
    torch.manual_seed(SEED)
    return AnalyticTraceEnum_ELBO(max_plate_nesting=2).differentiable_loss(prior, guide, batch)


def noise(*shape: int) -> Tensor:
    torch.manual_seed(SEED)
    return torch.randn(*shape, LATENT, dtype=torch.float64)


def gaussian_kl(q: tuple[Tensor, Tensor], p: tuple[Tensor, Tensor]) -> Tensor:
    (q_mean, q_scale), (p_mean, p_scale) = q, p
    return (torch.log(p_scale / q_scale) + (q_scale**2 + (q_mean - p_mean) ** 2) / p_scale**2 / 2 - 0.5).sum(-1)


def log_likelihood(batch: Utterances, variance: Tensor) -> Tensor:
    return -(variance.log() + batch.power / variance).sum(-1)


def where_seen(batch: Utterances, gaussian: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    seen = batch.mouth_seen[..., None].double()
    return seen * gaussian[0], seen * gaussian[1] + (1 - seen)


def gradients(loss: Tensor, *modules: nn.Module) -> dict[str, Tensor]:
    named = [(f"{n} {name}", p) for n, m in enumerate(modules) for name, p in m.named_parameters()]
    found = torch.autograd.grad(loss, [p for _, p in named], retain_graph=True, allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(named, found, strict=True)}


def assert_same(first: Tensor, second: Tensor, *modules: nn.Module) -> None:
    torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradients(first, *modules), gradients(second, *modules), rtol=1e-8, atol=1e-9)


def by_hand(prior: Any, guide: AudioVisualGuide, batch: Utterances) -> Tensor:
    """-sum over frames of E_q[log p(s | z, v)] - KL(q(z | s, v) || p(z | v)), at the draw that the guide makes."""
    sight = prior.visual_features.network(batch.mouth, batch.mouth_seen)[0] * batch.mouth_seen[..., None]
    posterior = guide.encoder(batch.noisy_power, sight)
    standard = torch.zeros_like(posterior[0]), torch.ones_like(posterior[0])
    conditional = isinstance(prior, ConditionalVAE)
    of_z = where_seen(batch, prior.visual_component.network(sight)) if conditional else standard
    z = posterior[0] + posterior[1] * noise(*batch.mask.shape)
    bound = log_likelihood(batch, prior.decoder(z, sight)) - gaussian_kl(posterior, of_z)
    return -(bound * batch.mask).sum()


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("size", "frames"), SHAPES)
@pytest.mark.parametrize("kind", [AudioVisualVAE, ConditionalVAE])
def test_the_loss_is_the_bound_written_by_hand(
    world: Any, kind: type[AudioVisualVAE], size: int, frames: int, gaps: bool
) -> None:
    prior, guide = pair(kind)
    batch = world.batch(size, frames)
    batch = world.with_gaps(batch) if gaps else batch
    assert_same(loss_of(prior, guide, batch), by_hand(prior, guide, batch), prior, guide)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("size", "frames"), SHAPES)
@pytest.mark.parametrize("family", [MixtureGuide, SharedGuide])
def test_the_loss_of_the_mixture_that_sees_is_the_bound_written_by_hand(
    world: Any, family: Callable[..., MixtureGuide], size: int, frames: int, gaps: bool
) -> None:
    prior, guide = mixture(family)
    batch = world.batch(size, frames)
    batch = world.with_gaps(batch) if gaps else batch
    network = prior.visual_component.network(batch.mouth, batch.mouth_seen)
    visual, sight = where_seen(batch, network), network[0] * batch.mouth_seen[..., None]
    standard = torch.zeros_like(sight), torch.ones_like(sight)
    if family is SharedGuide:
        heard = seen = guide.audio.encoder(batch.power)
        draws = noise(*batch.mask.shape).expand(2, *batch.mask.shape, LATENT)
    else:
        heard = guide.audio.encoder(batch.noisy_power)
        seen = guide.visual.network(batch.mouth, batch.mouth_seen)
        draws = noise(2, *batch.mask.shape)
    bounds = []
    for posterior, component, draw in ((seen, visual, draws[0]), (heard, standard, draws[1])):
        variance = prior.decoder(posterior[0] + posterior[1] * draw, sight)
        bounds.append(log_likelihood(batch, variance) - gaussian_kl(posterior, component))
    pi = torch.where(batch.mouth_seen, prior.alpha_prior.logit, 30.0).sigmoid()
    r = torch.where(batch.mouth_seen, torch.tensor(0.2, dtype=torch.float64).logit(), 30.0).sigmoid()
    divergence = r * (r / pi).log() + torch.special.xlog1py(1 - r, -r) - torch.special.xlog1py(1 - r, -pi)
    bound = r * bounds[1] + (1 - r) * bounds[0] - divergence
    assert_same(loss_of(prior, guide, batch), -(bound * batch.mask).sum(), prior, guide)


@pytest.mark.parametrize("kind", [AudioVisualVAE, ConditionalVAE])
def test_every_part_that_should_learn_gets_a_gradient(world: Any, kind: type[AudioVisualVAE]) -> None:
    prior, guide = pair(kind)
    found = gradients(loss_of(prior, guide, world.batch(2, 3)), prior, guide)
    idle = [name for name, gradient in found.items() if not gradient.abs().sum() > 0]
    # features are the mean of the mouth network; nobody asks for its scale
    assert idle == [f"0 visual_features.network.head.log_variance.{part}" for part in ("weight", "bias")]


@pytest.mark.parametrize("kind", [AudioVisualVAE, ConditionalVAE])
def test_without_a_mouth_it_is_the_bound_of_sound_alone(world: Any, kind: type[AudioVisualVAE]) -> None:
    prior, guide = pair(kind)
    batch = world.batch(2, 3)
    blind = batch.replace(mouth_seen=torch.zeros_like(batch.mouth_seen))  # what the pictures show is not looked at
    zero = torch.zeros(2, 3, SIGHT).double()
    mean, scale = guide.encoder(batch.noisy_power, zero)
    variance = prior.decoder(mean + scale * noise(2, 3), zero)
    divergence = gaussian_kl((mean, scale), (torch.zeros_like(mean), torch.ones_like(scale)))
    expected = -(log_likelihood(batch, variance) - divergence).sum()
    for unseen in (blind, batch.without_mouth()):
        loss = loss_of(prior, guide, unseen)
        torch.testing.assert_close(loss, expected)
    eyes = gradients(loss, prior.visual_features)
    assert all((gradient == 0).all() for gradient in eyes.values())


@pytest.mark.parametrize("kind", [AudioVisualVAE, ConditionalVAE])
def test_where_z_may_start(world: Any, kind: type[AudioVisualVAE]) -> None:
    prior, guide = pair(kind)
    batch = world.with_gaps(world.batch(2, 3))
    sight = prior.visual_features.network(batch.mouth, batch.mouth_seen)[0] * batch.mouth_seen[..., None]
    torch.testing.assert_close(guide.encode_audio(batch), guide.encoder(batch.noisy_power, sight))
    louder = batch.replace(noisy_power=batch.noisy_power + 1)
    assert not torch.equal(guide.encode_audio(louder)[0], guide.encode_audio(batch)[0])
    seen = guide.encode_visual(batch)
    if kind is ConditionalVAE:  # noise cannot reach it
        torch.testing.assert_close(seen, where_seen(batch, prior.visual_component.network(sight)))
        torch.testing.assert_close(guide.encode_visual(louder), seen)
    else:
        torch.testing.assert_close(seen, guide.encode_audio(batch))
    assert guide.gate_logits(batch) is None


def test_the_weights_of_the_prior_are_not_the_guides() -> None:
    prior, guide = pair(ConditionalVAE)
    assert not {id(p) for p in prior.parameters()} & {id(p) for p in guide.parameters()}


@pytest.mark.parametrize(
    ("prior", "guide"),
    [("AudioVisualVAE", "AudioVisualGuide"), ("ConditionalVAE", "AudioVisualGuide"), ("MinVAEv2", "SharedGuide")],
)
def test_they_are_built_by_name(prior: str, guide: str) -> None:
    perceptron = {"class_path": "MouthPerceptron", "init_args": {"hidden": [4, 4], "latent_dim": 8}}
    eyes = {"class_path": "MouthFeatures", "init_args": {"network": perceptron}}
    decoder = {"class_path": "ConcatenatingDecoder", "init_args": {"feature_dim": 8}}
    made, posterior = build(
        {
            "prior": {"class_path": prior, "init_args": {"visual_features": eyes, "decoder": decoder}},
            "guide": {"class_path": guide},
        }
    )
    assert type(made).__name__ == prior
    assert made.visual_features.network.head.mean.out_features == 8
    assert posterior._prior[0] is made
