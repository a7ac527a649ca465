"""Graphical models, as Pyro finds them: what depends on what, and what is repeated over what."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyro
import pyro.distributions as dist
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch
from pyro import poutine
from pyro.infer.inspect import get_model_relations
from pyro.ops.provenance import ProvenanceTensor
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.models import FrozenNoise, NoisyMixture, SpeechPrior
from minvae_pyro.plots.style import BLACK, GREY
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


Kind = Literal["latent", "observed", "parameter"]

Place = tuple[float, float]

_COLUMN, _ROW, _BETWEEN = 1.5, 1.25, 1.3  # inches from node to node, and more between groups
_RADIUS = 0.36  # of a node's height
_MARGIN = 0.3  # of a plate around what is in it
_SHADE = "#D9D9D9"


@dataclass(frozen=True)
class Node:
    """One variable.

    Attributes:
        name: unique in its graph, and shown.
        kind: a latent variable, an observed one (shaded), or a parameter (a dot).
        distribution: name of its distribution, "" where it has none.
        plates: names of the plates it is in, from the outermost on.
    """

    name: str
    kind: Kind
    distribution: str = ""
    plates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A graphical model.

    Attributes:
        nodes: in the order in which they are sampled.
        arrows: pairs of names, from and to; from a node to itself where it follows from the frame before.
    """

    nodes: tuple[Node, ...]
    arrows: tuple[tuple[str, str], ...]

    def parents(self, name: str) -> list[str]:
        """Names of the others that a node depends on."""
        return [source for source, target in self.arrows if target == name != source]

    def children(self, name: str) -> list[str]:
        """Names of the others that depend on a node."""
        return [target for source, target in self.arrows if source == name != target]


def layout(graph: Graph) -> dict[str, Place]:
    """Places of the nodes in inches, y downwards.

    A node stands below all it depends on, and a node that depends on nothing just above the first that needs it.
    Nodes of the same plates stand together, those in most plates at the left.
    """
    depth: dict[str, int] = {}
    for node in graph.nodes:
        depth[node.name] = max((depth[name] + 1 for name in graph.parents(node.name)), default=0)
    for node in graph.nodes:
        if not graph.parents(node.name) and graph.children(node.name):
            depth[node.name] = min(depth[name] for name in graph.children(node.name)) - 1
    places: dict[str, Place] = {}
    left = 0.0
    groups = sorted({node.plates: None for node in graph.nodes}, key=len, reverse=True)
    for plates in groups:
        layers: dict[int, list[str]] = {}
        for node in graph.nodes:
            if node.plates == plates:
                layers.setdefault(depth[node.name], []).append(node.name)
        width = max(map(len, layers.values())) - 1
        for layer, names in layers.items():
            # nodes with arrows from other groups, which stand at the right, stand at the right themselves
            outside = {name for name in names if any(group != plates for group in _groups_of(graph, name))}
            for number, name in enumerate(sorted(names, key=outside.__contains__)):
                column = number + (width - len(names) + 1) / 2
                places[name] = (left + column * _COLUMN, layer * _ROW)
        left += width * _COLUMN + _COLUMN + _BETWEEN * 0.5
    return places


def _groups_of(graph: Graph, name: str) -> list[tuple[str, ...]]:
    """Plates of those that a node depends on."""
    parents = graph.parents(name)
    return [node.plates for node in graph.nodes if node.name in parents]


def draw_graph(graph: Graph, title: str = "", distributions: bool = True) -> Figure:
    """Draw a graph.

    Args:
        graph: what to draw.
        title: above.
        distributions: list below what each variable is distributed as, given which others.
    """
    places = layout(graph)
    sizes = {node.name: _size(node) for node in graph.nodes}
    legend = [_formula(graph, node) for node in graph.nodes if node.distribution] if distributions else []
    boxes = _plate_boxes(graph, places, sizes)
    edges = [*boxes.values(), *((x - 0.8, y - 0.5, x + 0.8, y + 0.5) for x, y in places.values())]
    left, top = (min(box[i] for box in edges) - 0.1 for i in (0, 1))
    right, bottom = (max(box[i] for box in edges) + 0.1 for i in (2, 3))
    width = max(right - left, 3.4)
    height = bottom - top + 0.24 * len(legend) + 0.1 + 0.4 * bool(title)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    middle, above = (left + right) / 2, top - 0.4 * bool(title)
    axes.set(xlim=(middle - width / 2, middle + width / 2), ylim=(above + height, above))
    axes.set_axis_off()
    for plate, box in boxes.items():
        _draw_plate(axes, plate, box)
    for source, target in graph.arrows:
        _draw_arrow(axes, places, sizes, source, target)
    for node in graph.nodes:
        _draw_node(axes, node, places[node.name], sizes[node.name])
    axes.text(middle, top - 0.2, title, ha="center", va="center", fontsize=13)
    if legend:
        axes.text(left + 0.15, bottom + 0.05, "\n".join(legend), va="top", fontsize=10, linespacing=1.5)
    return figure


def _size(node: Node) -> Place:
    """Width and height of a node in inches."""
    if node.kind == "parameter":
        return 0.12, 0.12
    return max(2 * _RADIUS, 0.095 * len(node.name) + 0.3), 2 * _RADIUS


def _formula(graph: Graph, node: Node) -> str:
    parents = graph.parents(node.name)
    if (node.name, node.name) in graph.arrows:
        parents = [f"{node.name} before", *parents]
    given = f" | {', '.join(parents)}" if parents else ""
    return f"{node.name}{given} ~ {node.distribution}"


def _plate_boxes(
    graph: Graph, places: dict[str, Place], sizes: dict[str, Place]
) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right and bottom of each plate, the outermost first."""
    boxes = {}
    inner: dict[str, int] = {}  # how many plates lie within
    for node in graph.nodes:
        for level, plate in enumerate(node.plates):
            inner[plate] = max(inner.get(plate, 0), len(node.plates) - 1 - level)
    for plate in sorted(inner, key=lambda name: -inner[name]):
        inside = [node.name for node in graph.nodes if plate in node.plates]
        margin = _MARGIN * (1 + inner[plate])
        xs = [(places[name][0] - sizes[name][0] / 2, places[name][0] + sizes[name][0] / 2) for name in inside]
        ys = [(places[name][1] - sizes[name][1] / 2, places[name][1] + sizes[name][1] / 2) for name in inside]
        # room for arrows that go round at the sides, for the label at the bottom
        left, right = min(x for x, _ in xs) - margin - 0.15, max(x for _, x in xs) + margin + 0.15
        boxes[plate] = (left, min(y for y, _ in ys) - margin, right, max(y for _, y in ys) + margin + 0.1)
    return boxes


def _draw_plate(axes: Axes, plate: str, box: Sequence[float]) -> None:
    left, top, right, bottom = box
    corner = FancyBboxPatch(
        (left, top), right - left, bottom - top, boxstyle="round,pad=0,rounding_size=0.1", fill=False, edgecolor=GREY
    )
    axes.add_patch(corner)
    axes.text(right - 0.08, bottom - 0.05, plate, ha="right", va="bottom", fontsize=9, color="#555555")


def _draw_node(axes: Axes, node: Node, place: Place, size: Place) -> None:
    face = {"latent": "white", "observed": _SHADE, "parameter": BLACK}[node.kind]
    axes.add_patch(Ellipse(place, *size, facecolor=face, edgecolor=BLACK, zorder=3))
    x, y = place
    if node.kind == "parameter":
        axes.text(x, y - 0.13, node.name, ha="center", va="bottom", fontsize=11, zorder=4)
    else:
        axes.text(x, y, node.name, ha="center", va="center", fontsize=12, zorder=4)


def _draw_arrow(axes: Axes, places: dict[str, Place], sizes: dict[str, Place], source: str, target: str) -> None:
    begin, end = places[source], places[target]
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 12, "color": BLACK, "linewidth": 1, "zorder": 2}
    if source == target:
        x, y = begin
        reach, rise = 0.42 * sizes[source][0], 0.25 * sizes[source][1]
        style = "arc3,rad=1.8"
        ends = (x + reach, y + rise), (x + reach, y - rise)
        axes.add_patch(FancyArrowPatch(*ends, connectionstyle=style, shrinkA=0, shrinkB=0, **look))
        return
    bend = 0.0
    if end[1] - begin[1] > 1.5 * _ROW:  # round what may stand between, on the side where it comes from
        bend = 0.3 if begin[0] < end[0] else -0.3
    for key, name in (("patchA", source), ("patchB", target)):
        width, height = sizes[name]
        look[key] = Ellipse(places[name], width + 0.06, height + 0.06, transform=axes.transData)
    axes.add_patch(FancyArrowPatch(begin, end, connectionstyle=f"arc3,rad={bend}", shrinkA=0, shrinkB=0, **look))
