"""Every speech prior tells the story that its docstring draws."""

import pyro
import pytest
import torch
from pyro import poutine

from minvae_pyro.models import (
    AudioVAE,
    ConditionalMinVAE,
    MinVAE,
    NMFNoise,
    NoiseModel,
    SpeechPrior,
    VisualVAE,
    spectral_likelihood,
)
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.likelihoods import ComplexNormal, PowerExponential
from minvae_pyro.utterances import Utterances

LATENT, FREQUENCIES = 3, 4


def decoder() -> SpectrumDecoder:
    return SpectrumDecoder(LATENT, 4, FREQUENCIES)


def conditional() -> ConditionalMinVAE:
    prior = ConditionalMinVAE(LATENT, MouthPerceptron((3, 3), LATENT))
    prior.decoder = decoder()
    return prior


PRIORS = {
    "audio": lambda: AudioVAE(LATENT, decoder()),
    "visual": lambda: VisualVAE(LATENT, decoder()),
    "constant": lambda: MinVAE(LATENT, decoder()),
    "conditional": conditional,
}


def utterances(size: int, frames: int, complex_values: bool = False) -> Utterances:
    spectrum = torch.randn(size, frames, FREQUENCIES, dtype=torch.complex64)
    return Utterances.from_spectrum(
        spectrum if complex_values else spectrum.abs().square(), torch.rand(size, frames, 67, 67)
    )


@pytest.mark.parametrize("complex_values", [False, True])
@pytest.mark.parametrize("shape", [(2, 2), (1, 1), (3, 5)])
@pytest.mark.parametrize("name", PRIORS)
def test_sites_shapes_and_densities(name: str, shape: tuple[int, int], complex_values: bool) -> None:
    prior, batch = PRIORS[name](), utterances(*shape, complex_values)
    batch.mask[-1, -1] = False
    trace = poutine.trace(prior).get_trace(batch)
    sites = [site for site in trace.stochastic_nodes if site not in ("utterances", "frames")]
    assert sites == (["z"] if "VAE" in type(prior).__name__ and not isinstance(prior, MinVAE) else ["alpha", "z"])
    assert trace.observation_nodes == ["s"]
    z = trace.nodes["z"]["value"]
    assert z.shape == (*shape, LATENT)
    trace.compute_log_prob()
    variance = prior.decoder(z)
    power = batch.power
    expected = -variance.log() - power / variance - (torch.tensor(torch.pi).log() if complex_values else 0)
    torch.testing.assert_close(trace.nodes["s"]["log_prob"], expected.sum(-1) * batch.mask)
    prior_of_z = torch.distributions.Normal(*_picked(prior, trace, batch)).log_prob(z).sum(-1)
    torch.testing.assert_close(trace.nodes["z"]["log_prob"], prior_of_z * batch.mask)


def _picked(prior: SpeechPrior, trace: poutine.Trace, batch: Utterances) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (*batch.mask.shape, LATENT)
    if not isinstance(prior, MinVAE):
        return torch.zeros(shape), torch.ones(shape)
    mean, scale = torch.empty(shape), torch.empty(shape)
    audio, visual = ([part.expand(shape) for part in c(batch)] for c in (prior.audio_component, prior.visual_component))
    for b in range(shape[0]):
        for n in range(shape[1]):
            chosen = audio if trace.nodes["alpha"]["value"][b, n] == 1 else visual
            mean[b, n], scale[b, n] = chosen[0][b, n], chosen[1][b, n]
    return mean, scale


def test_the_mixture_draws_each_component_as_often_as_pi_says() -> None:
    prior = MinVAE(LATENT, decoder())
    prior.alpha_prior.logit.data.fill_(1.2)
    prior.audio_component.mean.data.fill_(4.0)
    prior.visual_component.mean.data.fill_(-4.0)
    batch = utterances(20, 100)
    z = poutine.trace(prior).get_trace(batch).nodes["z"]["value"]
    share = (z.mean(-1) > 0).float().mean().item()
    assert share == pytest.approx(torch.tensor(1.2).sigmoid().item(), abs=0.04)


@pytest.mark.parametrize("name", PRIORS)
def test_z_can_be_drawn_without_observing_speech(name: str) -> None:
    prior, batch = PRIORS[name](), utterances(2, 3)
    with torch.no_grad():
        variance = prior.speech_variance(prior.latent(batch, batch.plates()), batch)
    assert variance.shape == (2, 3, FREQUENCIES)
    assert (variance > 0).all()


def test_the_likelihood_follows_the_spectrum() -> None:
    variance = torch.rand(1, 2, 4) + 0.1
    for spectrum, kind in (
        (torch.zeros(2, 4, dtype=torch.complex64), ComplexNormal),
        (torch.zeros(2, 4), PowerExponential),
    ):
        likelihood = spectral_likelihood(Utterances.from_spectrum(spectrum), variance)
        assert isinstance(likelihood.base_dist, kind)
        assert likelihood.batch_shape == (1, 2)


def test_what_a_subclass_must_provide_is_said() -> None:
    with pytest.raises(TypeError, match="abstract class SpeechPrior with abstract methods latent, speech_variance"):
        SpeechPrior()
    with pytest.raises(TypeError, match="abstract class NoiseModel with abstract methods forward, m_step, start"):
        NoiseModel()
    assert NMFNoise(1).at(spectra=torch.ones(1, 4, 1), activations=torch.ones(1, 1, 1))(utterances(1, 1)).shape == (
        1,
        1,
        4,
    )


def test_a_model_runs_on_every_precision() -> None:
    for dtype in (torch.float32, torch.float64):
        prior, batch = conditional().to(dtype), utterances(2, 2).to(dtype)
        with pyro.poutine.trace() as traced:
            prior(batch)
        assert traced.trace.nodes["z"]["value"].dtype == dtype
