import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from minvae_pyro.plots.graphical import Graph, Node, draw_graph, layout


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Acyclic graphs of up to seven nodes in nested plates."""
    plates = draw(st.lists(st.sampled_from([(), ("outer",), ("outer", "inner")]), min_size=1, max_size=7))
    nodes = tuple(Node(f"n{number}", "latent", "", inside) for number, inside in enumerate(plates))
    pairs = list(itertools.combinations([node.name for node in nodes], 2))
    return Graph(nodes, tuple(draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else ()))


@given(graphs())
def test_arrows_point_down_and_nodes_stand_apart(graph: Graph) -> None:
    places = layout(graph)
    assert set(places) == {node.name for node in graph.nodes}
    for source, target in graph.arrows:
        assert places[source][1] < places[target][1]
    for (x, y), (u, v) in itertools.combinations(places.values(), 2):
        assert abs(x - u) >= 1 or abs(y - v) >= 1


@given(graphs())
@settings(max_examples=20)
def test_a_plate_holds_its_nodes_and_no_others(graph: Graph) -> None:
    axes = draw_graph(graph).axes[0]
    places = layout(graph)
    boxes = [patch.get_window_extent() for patch in axes.patches if hasattr(patch, "get_boxstyle")]
    names = {plate for node in graph.nodes for plate in node.plates}
    assert len(boxes) == len(names)
    order = [plate for plate in ("outer", "inner") if plate in names]
    for plate, box in zip(order, boxes, strict=True):
        for node in graph.nodes:
            inside = box.contains(*axes.transData.transform(places[node.name]))
            assert inside == (plate in node.plates)


def test_a_node_that_nothing_leads_to_stands_just_above_what_needs_it() -> None:
    nodes = tuple(Node(name, "latent") for name in ("first", "second", "late", "last"))
    places = layout(Graph(nodes, (("first", "second"), ("second", "last"), ("late", "last"))))
    assert places["late"][1] == places["second"][1]
