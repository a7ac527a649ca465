"""Priors whose decoder sees the mouth: their stories, what the mouth may change, and how often it is looked at."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import Normal

from minvae_pyro.models import (
    AudioVisualVAE,
    ConditionalComponent,
    ConditionalVAE,
    ConstantComponent,
    MinVAE,
    MinVAEv2,
    MouthFeatures,
    SpeechPrior,
    StandardComponent,
    sharpen,
)
from minvae_pyro.models.speech_prior import Latent
from minvae_pyro.nn.audio_visual import ConcatenatingDecoder, FeaturePerceptron
from minvae_pyro.nn.cached import Precomputed
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.utterances import Utterances

LATENT, SIGHT, FREQUENCIES = 3, 2, 4


class Eyes(MouthPerceptron):
    """A small mouth network that counts how often it is asked."""

    def __init__(self, size: int) -> None:
        super().__init__((4, 4), size)
        self.calls = 0

    def forward(self, mouth: Tensor, mouth_seen: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        return super().forward(mouth, mouth_seen)


def decoder(sight: int = SIGHT) -> ConcatenatingDecoder:
    return ConcatenatingDecoder(LATENT, sight, 4, FREQUENCIES)


def av_vae() -> AudioVisualVAE:
    return AudioVisualVAE(LATENT, MouthFeatures(Eyes(SIGHT)), decoder())


def av_cvae() -> ConditionalVAE:
    return ConditionalVAE(LATENT, MouthFeatures(Eyes(SIGHT)), decoder(), FeaturePerceptron(SIGHT, 4, LATENT))


def mixture() -> MinVAEv2:
    return MinVAEv2(LATENT, decoder(LATENT), visual_component=ConditionalComponent(Eyes(LATENT)))


def published() -> MinVAEv2:
    constant = (ConstantComponent(LATENT), ConstantComponent(LATENT))
    return MinVAEv2(LATENT, decoder(), *constant, visual_features=MouthFeatures(Eyes(SIGHT)))


PRIORS: dict[str, Callable[[], SpeechPrior]] = {
    "av-vae": av_vae,
    "av-cvae": av_cvae,
    "min-vae-v2": mixture,
    "published": published,
}


@pytest.fixture(params=PRIORS)
def prior(request: pytest.FixtureRequest) -> Any:
    made = PRIORS[request.param]()
    for parameter in made.parameters():
        parameter.data = parameter.data + 0.3 * torch.randn_like(parameter)
    return made.double()


@pytest.fixture(params=[(2, 3), (1, 1), (2, 1)], ids=str)
def batch(request: pytest.FixtureRequest) -> Utterances:
    return utterances(*request.param)


def utterances(size: int, frames: int) -> Utterances:
    power, mouth = torch.rand(size, frames, FREQUENCIES).double(), torch.rand(size, frames, 67, 67).double()
    return Utterances.from_spectrum(power, mouth)


def with_gap(batch: Utterances) -> Utterances:
    """The first frame of the first utterance without a mouth."""
    seen = batch.mouth_seen.clone()
    seen[0, 0] = False
    return batch.replace(mouth_seen=seen, mouth=batch.mouth * seen[..., None, None])


def eyes(prior: SpeechPrior) -> Eyes:
    (found,) = {module for module in prior.modules() if isinstance(module, Eyes)}
    return found


def features(prior: Any, batch: Utterances) -> Tensor:
    mean, _ = eyes(prior)(batch.mouth, batch.mouth_seen)
    return mean * batch.mouth_seen[..., None]


def standard(batch: Utterances) -> tuple[Tensor, Tensor]:
    zero = torch.zeros(*batch.mask.shape, LATENT, dtype=torch.float64)
    return zero, zero + 1


def of_z(prior: Any, batch: Utterances, alpha: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and scale of p(z), written out."""
    normal, seen = standard(batch), batch.mouth_seen[..., None]
    if isinstance(prior, ConditionalVAE):
        mean, scale = prior.visual_component.network(features(prior, batch))
        return torch.where(seen, mean, normal[0]), torch.where(seen, scale, normal[1])
    if not isinstance(prior, MinVAE):
        return normal
    if isinstance(prior.visual_component, ConstantComponent):
        audio, visual = ((c.mean, c.log_scale.exp()) for c in (prior.audio_component, prior.visual_component))
    else:
        mean, scale = eyes(prior)(batch.mouth, batch.mouth_seen)
        audio, visual = normal, (torch.where(seen, mean, normal[0]), torch.where(seen, scale, normal[1]))
    assert alpha is not None
    heard = alpha[..., None]
    return tuple(heard * a + (1 - heard) * v for a, v in zip(audio, visual, strict=True))  # type: ignore[return-value]


def test_the_story(prior: Any, batch: Utterances) -> None:
    batch = with_gap(batch)
    trace = poutine.trace(prior).get_trace(batch)
    trace.compute_log_prob()
    sites = [site for site in trace.stochastic_nodes if site not in ("utterances", "frames")]
    assert sites == (["alpha", "z"] if isinstance(prior, MinVAE) else ["z"])
    z = trace.nodes["z"]["value"]
    assert z.shape == (*batch.mask.shape, LATENT)
    alpha = trace.nodes["alpha"]["value"].double() if isinstance(prior, MinVAE) else None
    expected = Normal(*of_z(prior, batch, alpha)).log_prob(z).sum(-1)
    torch.testing.assert_close(trace.nodes["z"]["log_prob"], expected)
    variance = prior.decoder(z, features(prior, batch))
    expected = -(variance.log() + batch.power / variance).sum(-1)
    torch.testing.assert_close(trace.nodes["s"]["log_prob"], expected)


def test_a_story_looks_at_the_mouth_once(prior: Any) -> None:
    watch = eyes(prior)
    prior(utterances(2, 3))
    assert watch.calls == 1


def test_given_is_the_same_prior_that_looks_no_more(prior: Any, batch: Utterances) -> None:
    batch, alpha = with_gap(batch), torch.tensor([0.0, 1.0]).double()[:, None, None]
    given, watch = prior.condition_on(batch), eyes(prior)
    before = watch.calls
    z = torch.randn(2, *batch.mask.shape, LATENT).double()
    condition = {"z": z} | ({"alpha": alpha} if isinstance(prior, MinVAE) else {})
    traces = [poutine.trace(poutine.condition(p, condition)).get_trace(batch) for p in (given, prior)]
    assert watch.calls == before + 1  # the second of the two
    for site in ("z", "s"):
        for trace in traces:
            trace.compute_log_prob()
        torch.testing.assert_close(*(trace.nodes[site]["log_prob"] for trace in traces))
    variance = given.speech_variance(Latent(z), batch)
    torch.testing.assert_close(variance, prior.speech_variance(Latent(z), batch))
    # given again, as by an engine that is handed a prior of which this has been asked already
    torch.testing.assert_close(given.condition_on(batch).speech_variance(Latent(z), batch), variance)
    # no graph of the network is kept, and the original is what it was
    assert all(buffer.grad_fn is None for buffer in given.buffers())
    assert {name for name, _ in prior.named_modules()} >= {"decoder"}
    assert not any(isinstance(module, Precomputed) for module in prior.modules())
    assert all(a is b for a, b in zip(prior.decoder.parameters(), given.decoder.parameters(), strict=True))


def test_the_story_trains_the_eyes_and_all_the_rest(prior: Any) -> None:
    batch = utterances(2, 3)
    alpha = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]).double()
    z = torch.randn(2, 3, LATENT).double()
    condition = {"z": z} | ({"alpha": alpha} if isinstance(prior, MinVAE) else {})
    (-poutine.trace(poutine.condition(prior, condition)).get_trace(batch).log_prob_sum()).backward()
    untouched = [name for name, p in prior.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # features are the mean of their network; its scale is not asked for
    assert untouched == [
        name for name, _ in prior.named_parameters() if name.startswith("visual_features.network.head.log_var")
    ]


def test_without_a_mouth_it_is_a_prior_of_sound_alone(prior: Any, batch: Utterances) -> None:
    unseen = batch.replace(mouth_seen=torch.zeros_like(batch.mouth_seen))  # pictures that must not be looked at
    z = torch.randn(*batch.mask.shape, LATENT).double()
    zero = torch.zeros_like(features(prior, batch))
    for p in (prior, prior.condition_on(unseen)):
        torch.testing.assert_close(p.speech_variance(Latent(z), unseen), prior.decoder(z, zero))
    if isinstance(prior, MinVAE):
        assert (prior.alpha_prior(unseen).mean > 1 - 1e-9).all()
        first = prior.z_prior(torch.ones(batch.mask.shape), unseen)
        if isinstance(prior.audio_component, ConstantComponent):
            return
    else:
        first = prior.z_prior(unseen)
    assert (first.base_dist.loc == 0).all()
    assert (first.base_dist.scale == 1).all()


def test_an_unseen_frame_is_decoded_from_the_sound(prior: Any) -> None:
    batch = with_gap(utterances(2, 3))
    other = batch.mouth.clone()
    other[0, 0] = torch.rand(67, 67)
    z = torch.randn(2, 3, LATENT).double()
    variance = prior.speech_variance(Latent(z), batch)
    torch.testing.assert_close(prior.speech_variance(Latent(z), batch.replace(mouth=other)), variance)
    other[0, 1] = torch.rand(67, 67)
    changed = prior.speech_variance(Latent(z), batch.replace(mouth=other)) != variance
    assert changed.any(-1).tolist() == [[False, True, False], [False, False, False]]


@pytest.mark.parametrize("leading", [(), (1,), (4,), (5, 2)])
def test_draws_and_enumerated_values_stand_before_the_batch(prior: Any, leading: tuple[int, ...]) -> None:
    batch = with_gap(utterances(2, 3))
    z = torch.randn(*leading, 2, 3, LATENT).double()
    variance = prior.speech_variance(Latent(z), batch)
    assert variance.shape == (*leading, 2, 3, FREQUENCIES)
    one_by_one = [prior.speech_variance(Latent(one), batch) for one in z.reshape(-1, 2, 3, LATENT)]
    torch.testing.assert_close(variance.reshape(-1, 2, 3, FREQUENCIES), torch.stack(one_by_one))


def test_sharpening_is_of_what_the_mouth_says(prior: Any) -> None:
    batch = with_gap(utterances(2, 3))
    z = torch.randn(2, 3, LATENT).double()
    sharp = sharpen(prior, 0.25)
    if type(prior) is AudioVisualVAE:
        assert sharp is prior
        return
    zero = torch.zeros(2, 3).double()
    arguments = (zero, batch) if isinstance(prior, MinVAE) else (batch,)
    plain = prior.z_prior(*arguments).base_dist
    for p in (sharp, sharp.condition_on(batch)):
        found = p.z_prior(*arguments).base_dist
        torch.testing.assert_close(found.loc, plain.loc)
        factor = torch.where(batch.mouth_seen, 0.5, 1.0)[..., None].double()
        torch.testing.assert_close(found.scale, plain.scale * factor)
        torch.testing.assert_close(p.speech_variance(Latent(z), batch), prior.speech_variance(Latent(z), batch))


def test_the_mixtures_m_step_and_pi_are_those_of_the_first_version() -> None:
    prior, batch = mixture().double(), with_gap(utterances(2, 3))
    given = prior.condition_on(batch)
    r = torch.rand(2, 3).double()
    given.m_step(torch.distributions.Bernoulli(r), batch)
    expected = (r * batch.mouth_seen).sum(1) / batch.mouth_seen.sum(1)
    pi = given.alpha_prior(batch).mean
    torch.testing.assert_close(pi[batch.mouth_seen], expected[:, None].expand(2, 3)[batch.mouth_seen])
    assert (prior.alpha_prior(batch).mean[batch.mouth_seen] == 0.5).all()


def test_what_is_left_out_is_made() -> None:
    batch = Utterances.from_spectrum(torch.rand(1, 2, 513), torch.rand(1, 2, 67, 67))
    for kind in (AudioVisualVAE, ConditionalVAE, MinVAEv2):
        trace = poutine.trace(kind().eval()).get_trace(batch)
        assert trace.nodes["z"]["value"].shape == (1, 2, 32)
    assert isinstance(MinVAEv2().audio_component, StandardComponent)
    mean, _ = MinVAEv2(8).visual_component(batch)
    assert mean.shape == (1, 2, 8)


def test_features_worked_out_elsewhere_may_be_given() -> None:
    batch = utterances(2, 3)
    known = torch.randn(2, 3, SIGHT).double()
    prior = AudioVisualVAE(LATENT, Precomputed(known), decoder()).double()
    z = torch.randn(2, 3, LATENT).double()
    torch.testing.assert_close(prior.speech_variance(Latent(z), batch), prior.decoder(z, known))


def test_parts_that_nobody_names_fit_the_latent_space() -> None:
    bare = Utterances.from_spectrum(torch.ones(2, 3, 513), torch.rand(2, 3, 67, 67))
    for prior in (ConditionalVAE(5), MinVAEv2(5), AudioVisualVAE(5)):
        nodes = poutine.trace(prior).get_trace(bare).nodes
        assert nodes["z"]["value"].shape == (2, 3, 5)
        assert nodes["s"]["fn"].event_shape == (513,)
