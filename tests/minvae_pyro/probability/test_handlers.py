"""Known alpha against the prior that has none."""

from types import SimpleNamespace
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from minvae_pyro.guides import (
    AudioGuide,
    GatedResponsibility,
    MeanFieldGuide,
    MixtureGuide,
    MouthEncoder,
    NoisyAudioEncoder,
    PointGuide,
)
from minvae_pyro.inference import StochasticVariational, VariationalEM, infer
from minvae_pyro.models import (
    AudioVAE,
    ConditionalComponent,
    ConditionalMinVAE,
    DeepKalmanFilter,
    FrozenNoise,
    MinVAE,
    MixtureOfVAEs,
    NMFNoise,
    SpeechPrior,
    StandardComponent,
    SwitchingVAE,
)
from minvae_pyro.nn.audio import SpectrumDecoder, SpectrumEncoder
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.bernoulli import KnownAlpha
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.handlers import condition_alpha, hidden_block, in_force
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.utterances import Utterances
from minvae_pyro.video.occlusion import occlude, shuffled

LATENT, FREQUENCIES, FRAMES = 2, 4, 5
ENGINES: dict[str, Any] = {"svi": StochasticVariational, "vem": VariationalEM}


def batch(complex_values: bool = True) -> Utterances:
    generator = torch.Generator().manual_seed(1)
    spectrum = torch.randn(2, FRAMES, FREQUENCIES, generator=generator, dtype=torch.complex128)
    mouth = torch.rand(2, FRAMES, 67, 67, generator=generator, dtype=torch.float64)
    utterances = Utterances.from_spectrum(spectrum if complex_values else spectrum.abs().square(), mouth)
    utterances.mask[1, 3:] = False
    utterances.mouth_seen[1, 3:] = False
    utterances.mouth_seen[0, 2] = False
    return utterances


def decoder(seed: int) -> SpectrumDecoder:
    torch.manual_seed(seed)
    return SpectrumDecoder(LATENT, 3, FREQUENCIES)


def looking() -> MouthPerceptron:
    torch.manual_seed(7)
    return MouthPerceptron((3, 3), LATENT)


class Level(nn.Module):
    """A gate that says the same of every frame."""

    def forward(self, heard: Tensor, predicted: Tensor, seen: Any, mask: Tensor) -> Tensor:
        return heard.new_full(mask.shape, -1.5)


class SeeingVAE(AudioVAE):
    """The visual half of a conditional MIN-VAE as a prior of its own."""

    def __init__(self) -> None:
        super().__init__(LATENT, decoder(1))
        self.component = ConditionalComponent(looking())

    def z_prior(self, utterances: Utterances) -> torch.distributions.Distribution:
        return pyro.distributions.Normal(*self.component(utterances)).to_event(1)


def conditional() -> SpeechPrior:
    prior = ConditionalMinVAE(LATENT, looking())
    prior.decoder = decoder(1)
    return prior


def constant() -> SpeechPrior:
    return MinVAE(LATENT, decoder(1), StandardComponent(LATENT), ConditionalComponent(looking()))


def mixture_of_vaes() -> SpeechPrior:
    return MixtureOfVAEs(AudioVAE(LATENT, decoder(1)), AudioVAE(LATENT, decoder(2)))


def switching() -> SpeechPrior:
    return SwitchingVAE(AudioVAE(LATENT, decoder(1)), AudioVAE(LATENT, decoder(2)))


# each with what is left of it when alpha is 1, and when it is 0
PRIORS: dict[str, Any] = {
    "conditional": (conditional, SeeingVAE),
    "constant": (constant, SeeingVAE),
    "mixture of VAEs": (mixture_of_vaes, lambda: AudioVAE(LATENT, decoder(2))),
    "switching": (switching, lambda: AudioVAE(LATENT, decoder(2))),
}


def checkpoint(prior: SpeechPrior, gate: bool = False) -> Any:
    """What `infer` reads of a checkpoint."""
    torch.manual_seed(3)
    heard, seen = NoisyAudioEncoder(SpectrumEncoder(FREQUENCIES, 3, LATENT)), MouthEncoder(looking())
    guide = MixtureGuide(prior, heard, seen, GatedResponsibility(Level())) if gate else AudioGuide(heard)
    return SimpleNamespace(prior=prior.double(), guide=guide.double(), enhancement={}, trust=None)


def inferred(trained: Any, utterances: Utterances, engine: str = "svi", **settings: Any) -> Any:
    settings = {"start": "audio", "guide": PointGuide(), "noise": NMFNoise(2), **settings}
    return infer(trained, utterances, engine=ENGINES[engine](iterations=4), **settings)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("name", PRIORS)
def test_with_alpha_known_one_half_of_the_prior_is_left(name: str, value: int, engine: str) -> None:
    whole, visual = PRIORS[name]
    half = AudioVAE(LATENT, decoder(1)) if value else visual()
    with condition_alpha(value):
        known = inferred(checkpoint(whole()), batch(), engine)
    alone = inferred(checkpoint(half), batch(), engine)
    torch.testing.assert_close(known.gain, alone.gain, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(known.guide.mean, alone.guide.mean, rtol=1e-8, atol=1e-9)
    assert known.objective == pytest.approx(alone.objective, rel=1e-8)
    torch.testing.assert_close(known.audio_responsibility, torch.full((2, FRAMES), float(value), dtype=torch.float64))
    free = inferred(checkpoint(whole()), batch(), engine)
    assert not torch.allclose(free.gain, known.gain, rtol=1e-4)


@pytest.mark.parametrize("value", [0, 1])
def test_what_is_known_overrules_a_learnt_gate_and_where_it_makes_inference_start(value: int) -> None:
    trained = checkpoint(conditional(), gate=True)
    gated = inferred(trained, batch(), start="both")
    with condition_alpha(value):
        known = inferred(trained, batch(), start="both")
        started = inferred(trained, batch(), start="audio" if value else "visual")
    torch.testing.assert_close(known.gain, started.gain)
    torch.testing.assert_close(known.audio_responsibility.mean(), torch.tensor(float(value)).double())
    assert not torch.allclose(gated.gain, known.gain, rtol=1e-4)


def test_a_prior_without_alpha_does_not_mind() -> None:
    for prior in (AudioVAE(LATENT, decoder(1)), DeepKalmanFilter(LATENT, decoder=decoder(1))):
        trained = checkpoint(prior)
        with condition_alpha(0):
            known = inferred(trained, batch(), guide=MeanFieldGuide())
        assert torch.equal(known.gain, inferred(trained, batch(), guide=MeanFieldGuide()).gain)
        assert known.audio_responsibility is None


@pytest.mark.parametrize("value", [0, 1])
def test_the_enumerated_bound_is_that_of_the_known_branch(value: int) -> None:
    utterances, prior = batch(complex_values=False), conditional()
    trained = checkpoint(prior, gate=True)
    guide = trained.guide
    elbo = AnalyticTraceEnum_ELBO(max_plate_nesting=2)
    with local_parameters(prior, guide):
        torch.manual_seed(0)
        with condition_alpha(value):
            loss = elbo.loss(prior, guide, utterances)
        torch.manual_seed(0)
        wrapped = elbo.loss(condition_alpha(value)(prior), condition_alpha(value)(guide), utterances)
    torch.manual_seed(0)
    draw = Normal(*guide.posteriors(utterances)).rsample()[value]
    posterior = Normal(*(guide.encode_audio(utterances) if value else guide.encode_visual(utterances)))
    other = prior.audio_component if value else prior.visual_component
    variance = prior.decoder(draw)
    bound = (-variance.log() - utterances.power / variance).sum(-1)
    bound = bound - kl_divergence(posterior, Normal(*other(utterances))).sum(-1)
    expected = -(bound * utterances.mask).sum().item()
    assert loss == pytest.approx(expected, rel=1e-9)
    assert wrapped == pytest.approx(expected, rel=1e-9)


def test_the_innermost_of_two_holds_and_none_is_left_behind() -> None:
    plain = pyro.distributions.Bernoulli(logits=torch.zeros(2, 3))
    with condition_alpha(0), condition_alpha(1):
        inner = in_force(plain)
        site = poutine.trace(lambda: pyro.sample("alpha", plain)).get_trace().nodes["alpha"]["fn"]
        other = pyro.sample("other", plain)
    assert isinstance(inner, KnownAlpha)
    assert isinstance(site, KnownAlpha)
    assert (inner.mean == 1).all()
    assert (site.mean == 1).all()
    assert other.shape == (2, 3)
    assert in_force(plain) is plain
    assert inner.tilted(torch.full((2, 3), -1e3)) is inner


def test_a_story_told_aside_is_hidden_but_knows_what_is_known() -> None:
    def story() -> Any:
        with hidden_block():
            return poutine.trace(lambda: pyro.sample("alpha", pyro.distributions.Bernoulli(0.5))).get_trace()

    with condition_alpha(1), poutine.trace() as outside:
        inside = story()
    assert not outside.trace.nodes
    assert isinstance(inside.nodes["alpha"]["fn"], KnownAlpha)


@pytest.mark.parametrize("value", [0.5, 2, -1])
def test_alpha_is_zero_or_one(value: Any) -> None:
    with pytest.raises(ValueError, match=f"alpha is 0 or 1, not {value}"):
        condition_alpha(value)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PRIORS)
def test_all_ablations_at_once(name: str, engine: str) -> None:
    utterances = batch()
    noise = NMFNoise(2).start(utterances, torch.Generator().manual_seed(5))
    trained = checkpoint(PRIORS[name][0]())
    with condition_alpha(1):
        result = occlude(inferred, shuffled(1))(trained, utterances, engine, noise=FrozenNoise(noise))
    alone = inferred(checkpoint(AudioVAE(LATENT, decoder(1))), utterances, engine, noise=FrozenNoise(noise))
    torch.testing.assert_close(result.gain, alone.gain, rtol=1e-8, atol=1e-9)
    assert torch.equal(result.mixture.noise(utterances), noise(utterances))


def test_a_story_in_a_hidden_block_meets_no_handler_and_no_plate_of_its_surroundings() -> None:
    def story() -> Tensor:
        with pyro.plate("frames", 3, dim=-1):
            return pyro.sample("z", dist.Normal(torch.zeros(3), 1.0))

    def guide() -> None:
        with pyro.plate("frames", 2, dim=-1), pyro.poutine.scale(scale=5.0):
            with hidden_block():
                inner = poutine.trace(story).get_trace()
            assert inner.nodes["z"]["scale"] == 1.0
            assert inner.nodes["z"]["value"].shape == (3,)
            assert pyro.sample("y", dist.Normal(torch.zeros(2), 1.0)).shape == (2,)

    trace = poutine.trace(guide).get_trace()
    assert "z" not in trace.nodes
    assert trace.nodes["y"]["scale"] == 5.0


def test_a_hidden_block_that_fails_leaves_everything_as_it_was() -> None:
    def fails() -> None:
        with pyro.plate("frames", 2, dim=-1):
            with pytest.raises(ZeroDivisionError), hidden_block(), pyro.plate("frames", 3, dim=-1):
                _ = 1 / 0
            pyro.sample("y", dist.Normal(torch.zeros(2), 1.0))

    assert poutine.trace(fails).get_trace().nodes["y"]["value"].shape == (2,)
