import pyro
import pytest
import torch

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.errors import UserError
from minvae_pyro.models import (
    BayesianNMFNoise,
    FrozenNoise,
    MinVAE,
    NMFNoise,
    NoiseModel,
    NoisyMixture,
    StationaryNoise,
)
from minvae_pyro.plots import graphical_model
from minvae_pyro.plots.graphical import Graph, find_graph
from minvae_pyro.utterances import Utterances

FRAMES = ("utterances", "frames")


def arrows(graph: Graph) -> set[tuple[str, str]]:
    return set(graph.arrows)


@pytest.mark.parametrize("name", ["a-vae", "av-vae", "min-vae", "min-vae-published", "vae-mm", "sw-vae", "av-dkf"])
def test_random_variables_and_their_arrows_are_those_of_pyro(name: str) -> None:
    prior = load_checkpoint(name).prior
    utterances = Utterances.from_spectrum(torch.rand(1, 3, 513), torch.rand(1, 3, 67, 67))
    body = pyro.render_model(prior, (utterances,)).body
    edges = {tuple(line.strip().replace("alpha", "α").split(" -> ")) for line in body if "->" in line}
    graph = find_graph(prior, utterances)
    assert {(a, b) for a, b in arrows(graph) if a != b and a != "mouth"} == edges
    assert all(node.plates == FRAMES for node in graph.nodes)
    assert {node.name for node in graph.nodes if node.kind == "observed"} <= {"s", "mouth"}


@pytest.mark.parametrize(
    ("name", "looking"),
    [
        ("a-vae", set()),
        ("av-vae", {"s"}),
        ("av-cvae", {"z", "s"}),
        ("min-vae-published", set()),
        ("min-vae", {"z"}),
        ("min-vae-v2", {"z", "s"}),
    ],
)
def test_the_mouth_is_shown_where_the_model_looks_at_it(name: str, looking: set[str]) -> None:
    graph = find_graph(load_checkpoint(name).prior)
    assert {target for source, target in arrows(graph) if source == "mouth"} == looking
    assert ("mouth" in {node.name for node in graph.nodes}) == bool(looking)


@pytest.mark.parametrize(("name", "chain"), [("sw-vae", "α"), ("a-dkf", "z"), ("a-vae", None)])
def test_chains_follow_themselves(name: str, chain: str | None) -> None:
    graph = find_graph(load_checkpoint(name).prior)
    assert {a for a, b in arrows(graph) if a == b} == ({chain} if chain else set())


@pytest.mark.parametrize(
    ("noise", "parameters"),
    [
        (NMFNoise(2), {"spectra": ("utterances",), "activations": FRAMES}),
        (StationaryNoise(), {"spectrum": ("utterances",)}),
        (FrozenNoise(NMFNoise(2)), {"spectra": ("utterances",), "activations": FRAMES}),
    ],
)
def test_parameters_of_the_noise_lead_to_what_is_heard(noise: NoiseModel, parameters: dict) -> None:
    graph = find_graph(NoisyMixture(MinVAE(), noise, torch.ones(1, 1, 1)))
    found = {node.name: node.plates for node in graph.nodes if node.kind == "parameter"}
    assert found == {"gain": ("utterances",), **parameters}
    assert arrows(graph) == {("α", "z"), ("z", "x"), *((name, "x") for name in found)}
    assert [node.name for node in graph.nodes if node.kind == "observed"] == ["x"]


def test_parameters_with_a_prior_are_random_variables() -> None:
    graph = find_graph(NoisyMixture(MinVAE(), BayesianNMFNoise(2), torch.ones(1, 1, 1)))
    noise = {("relevance", "spectra"), ("relevance", "activations"), ("spectra", "x"), ("activations", "x")}
    assert noise <= arrows(graph)
    kinds = {node.name: node.kind for node in graph.nodes}
    assert kinds["relevance"] == kinds["spectra"] == kinds["activations"] == "latent"
    plates = {node.name: node.plates for node in graph.nodes}
    assert plates["spectra"] == ("utterances",)
    assert plates["activations"] == FRAMES


def test_drawing_leaves_the_model_as_it_is() -> None:
    utterances = Utterances.from_spectrum(torch.rand(1, 4, 513))
    noise = NMFNoise(2).start(utterances)
    mixture = NoisyMixture(MinVAE(), noise, torch.full((1, 1, 1), 2.0))
    before = {name: value.clone() for name, value in mixture.state_dict().items()}
    state = torch.get_rng_state()
    graphical_model(mixture)
    graphical_model(mixture, utterances)
    assert torch.equal(torch.get_rng_state(), state)
    assert mixture.noise is noise
    assert all(torch.equal(value, mixture.state_dict()[name]) for name, value in before.items())


def test_a_figure_names_all_and_lists_distributions() -> None:
    texts = [text.get_text() for text in graphical_model(MinVAE(), title="mine").axes[0].texts]
    assert {"α", "z", "s", "utterances", "frames", "mine"} <= set(texts)
    assert texts[-1].splitlines() == ["α ~ Bernoulli", "z | α ~ Normal", "s | z ~ ComplexNormal"]
    assert not any("~" in text.get_text() for text in graphical_model(MinVAE(), distributions=False).axes[0].texts)


def test_a_prior_that_was_given_other_utterances_asks_for_them() -> None:
    own = Utterances.from_spectrum(torch.rand(2, 5, 513), torch.rand(2, 5, 67, 67))
    prior = load_checkpoint("min-vae").prior.condition_on(own)
    with pytest.raises(UserError, match="give the utterances"):
        graphical_model(prior)
    assert find_graph(prior, own).nodes
