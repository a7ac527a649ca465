"""The first page: its ten lines are the library's MIN-VAE, and its recording can be played."""

import re
from pathlib import Path
from typing import Any

import pyro
import pytest
import soundfile
import torch
from pyro import poutine
from pyro.distributions import Bernoulli, Distribution, MaskedMixture, Normal
from pyro.infer import TraceEnum_ELBO

from minvae_pyro.guides import MixtureGuide
from minvae_pyro.guides.encoders import MouthEncoder, NoisyAudioEncoder
from minvae_pyro.guides.responsibility import FixedResponsibility
from minvae_pyro.models import MinVAE
from minvae_pyro.models.z_priors import ConditionalComponent
from minvae_pyro.nn.audio import SpectrumDecoder, SpectrumEncoder
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.probability.likelihoods import ComplexNormal
from minvae_pyro.utterances import Utterances

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "index.md").read_text()
FRAMES, BINS, CODE = 5, 7, 3
STATIC = DOCS / "_static"


@pytest.fixture
def utterances() -> Utterances:
    spectrum = torch.randn(FRAMES, BINS, dtype=torch.complex64)
    return Utterances.from_spectrum(spectrum, torch.rand(FRAMES, 67, 67))


@pytest.fixture
def prior() -> MinVAE:
    prior = MinVAE(CODE, SpectrumDecoder(CODE, 4, BINS), visual_component=ConditionalComponent(network()))
    torch.nn.init.normal_(prior.audio_component.mean)
    return prior.requires_grad_(False).eval()


@pytest.fixture
def guide(prior: MinVAE) -> MixtureGuide:
    audio = NoisyAudioEncoder(SpectrumEncoder(BINS, 4, CODE))
    return MixtureGuide(prior, audio, MouthEncoder(network()), FixedResponsibility(0.3)).requires_grad_(False).eval()


def network() -> MouthPerceptron:
    return MouthPerceptron((4, 4), CODE)


@pytest.fixture
def lines(prior: MinVAE, guide: MixtureGuide, utterances: Utterances) -> dict[str, Any]:
    """What the page defines, its parts those of prior and guide."""

    def normal(parts: tuple[torch.Tensor, torch.Tensor]) -> Distribution:
        return Normal(*(part[0] if part.dim() == 3 else part for part in parts)).to_event(1)

    names: dict[str, Any] = {
        **{"pyro": pyro, "Bernoulli": Bernoulli, "MaskedMixture": MaskedMixture, "ComplexNormal": ComplexNormal},
        **{"TraceEnum_ELBO": TraceEnum_ELBO, "s": utterances.spectrum[0], "mouth": utterances.mouth[0]},
        "pi": prior.alpha_prior(utterances).probs.flatten()[0],
        "p_audio": normal(prior.audio_component(utterances)),
        "p_visual": lambda mouth: normal(prior.visual_component(utterances)),
        "q_alpha": lambda s, mouth: Bernoulli(0.3),
        "q_audio": lambda s: normal(guide.encode_audio(utterances)),
        "q_visual": lambda mouth: normal(guide.encode_visual(utterances)),
        "decoder": prior.decoder,
    }
    exec(compile(ten_lines(), "index.md", "exec"), names)
    return names


def ten_lines() -> str:
    (block,) = (text for text in re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S) if "def model" in text)
    return str(block)


def at(program: Any, sites: dict[str, torch.Tensor], *arguments: Any) -> dict[str, torch.Tensor]:
    """The log-probability of each site, where latent ones have these values."""
    trace = poutine.trace(poutine.condition(program, data=sites)).get_trace(*arguments)
    trace.compute_log_prob()
    return {name: trace.nodes[name]["log_prob"].flatten() for name in ("alpha", "z", "s") if name in trace.nodes}


def test_there_are_ten_lines() -> None:
    assert len([line for line in ten_lines().splitlines() if line]) == 10
    assert "MIN-VAE in ten lines" in PAGE


def test_model_and_guide_are_those_of_the_library(
    lines: dict[str, Any], prior: MinVAE, guide: MixtureGuide, utterances: Utterances
) -> None:
    for _ in range(5):
        drawn = poutine.trace(guide).get_trace(utterances)
        drawn.compute_log_prob()
        sites = {name: drawn.nodes[name]["value"] for name in ("alpha", "z")}
        flat = {name: value[0] for name, value in sites.items()}
        ours = at(lines["model"], flat, lines["s"], lines["mouth"])
        for name, expected in at(prior, sites, utterances).items():
            torch.testing.assert_close(ours[name], expected, msg=name)
        ours = at(lines["guide"], flat, lines["s"], lines["mouth"])
        for name in ("alpha", "z"):
            torch.testing.assert_close(ours[name], drawn.nodes[name]["log_prob"].flatten(), msg=name)


def test_the_bound_is_that_of_the_library(
    lines: dict[str, Any], prior: MinVAE, guide: MixtureGuide, utterances: Utterances
) -> None:
    assert torch.isfinite(torch.tensor(lines["loss"]))

    def losses(max_plate_nesting: int, *parts: Any) -> torch.Tensor:
        elbo = TraceEnum_ELBO(20, max_plate_nesting, vectorize_particles=True)
        return torch.tensor([elbo.loss(*parts) for _ in range(10)])

    ours = losses(1, *(lines[name] for name in ("model", "guide", "s", "mouth")))
    theirs = losses(2, prior, guide, utterances)
    error = (ours.var() / len(ours) + theirs.var() / len(theirs)).sqrt()
    assert abs(ours.mean() - theirs.mean()) < 4 * error
    assert error < 0.05 * ours.mean().abs()


def test_the_recording_is_small_and_can_be_played() -> None:
    sounds = re.findall(r'src="_static/(\S+)"', PAGE)
    figures = re.findall(r"^```\{image\} _static/(\S+)$", PAGE, re.M)
    assert len(sounds) == len(figures) == 2
    assert all((STATIC / name).stat().st_size < 200_000 for name in (*sounds, *figures))
    lengths = {soundfile.info(STATIC / name).frames for name in sounds}
    assert len(lengths) == 1
    assert lengths.pop() > 2 * 16000
