"""Small directed graphs drawn without Graphviz: nodes in layers, plates as boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch

from minvae_pyro.plots.style import BLACK, GREY

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
