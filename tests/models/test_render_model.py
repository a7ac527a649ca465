"""Pyro finds what depends on what in every model, and draws it without the program Graphviz."""

import re

import pyro
import pytest
import torch

from minvae_pyro import shipped
from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.models import (
    BayesianNMFNoise,
    FrozenNoise,
    MinVAE,
    NMFNoise,
    NoiseModel,
    NoisyMixture,
    SpeechPrior,
    StationaryNoise,
)
from minvae_pyro.utterances import Utterances

VAE = {("z", "s")}
MIXTURE = {("alpha", "z"), ("z", "s")}
TWO_DECODERS = MIXTURE | {("alpha", "s")}
STORIES = {
    "AudioVAE": VAE,
    "VisualVAE": VAE,
    "AudioVisualVAE": VAE,
    "ConditionalVAE": VAE,
    "DeepKalmanFilter": VAE,
    "MinVAE": MIXTURE,
    "ConditionalMinVAE": MIXTURE,
    "MinVAEv2": MIXTURE,
    "MixtureOfVAEs": TWO_DECODERS,
    "SwitchingVAE": TWO_DECODERS,
}


def utterances() -> Utterances:
    return Utterances.from_spectrum(torch.rand(1, 3, 513), torch.rand(1, 3, 67, 67))


def drawn(model: SpeechPrior | NoisyMixture) -> tuple[set[tuple[str, str]], dict[str, str]]:
    """The arrows of the graph, and how each variable in the plate of the frames is filled: observed ones gray."""
    source = pyro.render_model(model, (utterances(),)).source
    frames = source.partition("cluster_frames")[2].partition("}")[0]
    return set(re.findall(r"(\w+) -> (\w+)", source)), dict(re.findall(r"(\w+) \[.*fillcolor=(\w+)", frames))


def test_the_stories_are_those_of_all_that_ships() -> None:
    assert {type(load_checkpoint(name).prior).__name__ for name in shipped()} == STORIES.keys()


@pytest.mark.parametrize("name", shipped())
def test_a_prior_is_drawn_with_its_plates(name: str) -> None:
    prior = load_checkpoint(name).prior
    arrows, frames = drawn(prior)
    assert arrows == STORIES[type(prior).__name__]
    latent = dict.fromkeys((variable for arrow in arrows for variable in arrow), "white")
    assert frames == latent | {"s": "gray"}


@pytest.mark.parametrize("noise", [NMFNoise(2), StationaryNoise(), BayesianNMFNoise(2), FrozenNoise(NMFNoise(2))])
def test_a_noisy_mixture_is_drawn(noise: NoiseModel) -> None:
    arrows, frames = drawn(NoisyMixture(MinVAE(), noise.start(utterances()), torch.ones(1, 1, 1)))
    assert arrows == {("alpha", "z"), ("z", "x")}
    # parameters of a noise with priors are scored at their values: Pyro shows them as observed, and leading nowhere
    assert frames.pop("activations", "gray") == "gray"
    assert frames == {"alpha": "white", "z": "white", "x": "gray"}
