"""Graphical models, as Pyro finds them: what depends on what, and what is repeated over what."""

from __future__ import annotations

import copy
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from matplotlib.figure import Figure
from pyro import poutine
from pyro.infer.inspect import get_model_relations
from pyro.ops.provenance import ProvenanceTensor
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.models import FrozenNoise, NoisyMixture, SpeechPrior
from minvae_pyro.plots.graphs import Graph, Kind, Node, draw_graph
from minvae_pyro.utterances import MOUTH_SIZE, Utterances

_SYMBOLS = {"alpha": "α"}
_CHAINS = {"MarkovNormal", "BinaryMarkovChain"}  # one site of all frames, each following from the one before


def graphical_model(
    model: SpeechPrior | NoisyMixture,
    utterances: Utterances | None = None,
    *,
    distributions: bool = True,
    title: str | None = None,
) -> Figure:
    """Draw the graphical model of any speech prior or noisy mixture.

    What depends on what is found by Pyro, as for `pyro.render_model`, which draws the random variables alike but
    needs the program Graphviz. Here it is not needed, and two things are added that are no random variables:
    the mouth, where the model looks at it, and the parameters of noise and loudness, as dots.

    Args:
        model: A model; it is run once.
        utterances: What to run it on; a few frames of noise with a mouth when omitted. A prior that was given its
            utterances needs those.
        distributions: List the distribution of each variable.
        title: Above; the name of the class when omitted.

    Returns:
        The figure, to be saved by `save_figure`: plates as boxes, observed variables shaded, an arrow back to
        itself for a chain over the frames.
    """
    graph = find_graph(model, utterances)
    return draw_graph(graph, type(model).__name__ if title is None else title, distributions)


def find_graph(model: SpeechPrior | NoisyMixture, utterances: Utterances | None = None) -> Graph:
    """The nodes, arrows and plates of a model, see `graphical_model`.

    Raises:
        UserError: the model does not run on a few frames of noise.

    Example:
        >>> from minvae_pyro.models import AudioVAE
        >>> graph = find_graph(AudioVAE())
        >>> [node.name for node in graph.nodes], graph.arrows
        (['z', 's'], (('z', 's'),))
    """
    # a copy at rest: a run would move the running statistics of a model in training
    model = copy.deepcopy(model).eval()
    fresh = utterances is None
    chosen = _some_utterances() if utterances is None else utterances
    try:
        story = _MixtureStory(model, chosen, fresh) if isinstance(model, NoisyMixture) else _Story(model)
        relations = get_model_relations(story, (chosen,), include_deterministic=True)
    except RuntimeError as error:
        if not fresh:
            raise
        raise UserError(
            f"{type(model).__name__} does not run on a few frames of noise: give the utterances to run it on"
        ) from error
    plates = relations["plate_sample"]
    arrows = [(source, name) for name, sources in relations["sample_sample"].items() for source in sources]
    nodes = []
    for name, distribution in relations["sample_dist"].items():
        told = distribution == "Delta"
        if told and all(source != name for source, _ in arrows):
            continue
        inside = story.plates_of(name) if told else tuple(plate for plate in plates if name in plates[plate])
        nodes.append(Node(_shown(name), story.kind_of(name, relations), "" if told else distribution, inside))
        if distribution in _CHAINS:
            arrows.append((name, name))
    return Graph(tuple(nodes), tuple((_shown(source), _shown(target)) for source, target in arrows))


class _Story:
    """A model whose dependence on the mouth can be seen, as on a variable that is given."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, utterances: Utterances) -> None:
        self.model(utterances.replace(mouth=_tell("mouth", utterances.mouth)))

    def plates_of(self, name: str) -> tuple[str, ...]:
        """Plates of what is told."""
        return ("utterances", "frames")

    def kind_of(self, name: str, relations: dict[str, Any]) -> Kind:
        """What a variable is."""
        return "observed" if name in relations["observed"] else "latent"


class _MixtureStory(_Story):
    """The same of a noisy mixture, with the parameters of its noise and its gain."""

    def __init__(self, mixture: NoisyMixture, utterances: Utterances, fresh: bool) -> None:
        noise = mixture.noise
        while isinstance(noise, FrozenNoise):
            noise = noise.noise
        generator = torch.Generator().manual_seed(0)  # the caller's randomness is left alone
        self.noise = noise.start(utterances, generator) if fresh or not noise.started else noise
        self.gain = torch.ones(len(utterances), 1, 1) if fresh else mixture.gain
        self.speech = mixture.speech
        trace = poutine.trace(self.noise.declare).get_trace(utterances, utterances.plates())
        # a prior makes a parameter a random variable, whose value is the estimate of this moment
        self.random = list(trace.observation_nodes)

    def __call__(self, utterances: Utterances) -> None:
        gain = _tell("gain", self.gain)
        values = dict(self.noise.named_buffers())
        if self.random:
            followed = {name: ProvenanceTensor(values[name], frozenset({name})) for name in self.random}
        else:
            followed = {name: _tell(name, value) for name, value in values.items()}
        self.model = NoisyMixture(self.speech, self.noise.at(**followed), gain)
        super().__call__(utterances)

    def plates_of(self, name: str) -> tuple[str, ...]:
        """Plates of what is told."""
        return ("utterances", "frames") if name == "mouth" or name in self.noise.framewise else ("utterances",)

    def kind_of(self, name: str, relations: dict[str, Any]) -> Kind:
        """What a variable is."""
        if name == "gain" or (not self.random and name in dict(self.noise.named_buffers())):
            return "parameter"
        return "latent" if name in self.random else super().kind_of(name, relations)


def _tell(name: str, value: Tensor) -> Tensor:
    """Make a tensor known to Pyro under a name, so that what depends on it is found."""
    return pyro.sample(name, dist.Delta(value).to_event(value.dim()), obs=value)


def _some_utterances() -> Utterances:
    generator = torch.Generator().manual_seed(0)
    spectrum = torch.randn(1, 3, 513, generator=generator, dtype=torch.complex64)
    return Utterances.from_spectrum(spectrum, torch.rand(1, 3, MOUTH_SIZE, MOUTH_SIZE, generator=generator))


def _shown(name: str) -> str:
    return _SYMBOLS.get(name, name)
