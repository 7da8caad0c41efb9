"""Which nodes run channels-last: the choice with the fewest transposed bytes, found as a minimum cut.

Our layers run channels-last, nodes without a handler channels-first, and all others either way. A
value whose producer and some reader disagree costs one Transpose of its bytes, however many readers it has,
plus a fixed price for one node more. So with S the nodes that run channels-last, for each value v from node p
to its readers r, at the price c:

1. p outside S and some r in S: a helper u with edges r -> u (endless) and u -> p (c).
2. p in S and some r outside S: a helper w with edges p -> w (c) and w -> r (endless).

The cut between S and the rest then costs what the Transposes do. All nodes outside S would be the plain
graph, with two Transposes around each binary layer; the minimum is never dearer.
"""

from collections.abc import Callable, Iterable, Mapping

import networkx as nx
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import is_map, shape_of

UNKNOWN_EXTENT = 32  # stands for a height or width that is not known
NODE_PRICE = 1024  # bytes that could be transposed in the time that a node more takes
_LAST, _FIRST = "channels-last", "channels-first"


def transposed_bytes(value: ir.Value) -> int:
    """Returns the bytes of one sample that a Transpose of a map moves; 0 for a map of one pixel, a view."""
    shape = shape_of(value)
    assert shape is not None
    sizes = [size if isinstance(size, int) else UNKNOWN_EXTENT for size in shape[1:]]
    if sizes[1:] == [1, 1]:
        return 0
    itemsize = 4 if value.dtype is None else max(1, value.dtype.bitwidth // 8)
    return sizes[0] * sizes[1] * sizes[2] * itemsize


def choose(
    graph: ir.Graph,
    pinned: Callable[[ir.Node], bool],
    refusals: Mapping[ir.Node, str],
    has_layout: Callable[[ir.Value], bool],
) -> set[ir.Node]:
    """Chooses the nodes that run channels-last.

    Args:
        graph: Sorted topologically, without nested graphs of its nodes.
        pinned: Whether a node runs channels-last whatever it costs.
        refusals: Nodes that cannot, with the reason.
        has_layout: Whether a computed map has a layout; False for one whose values lie alike in both.

    Returns:
        The pinned nodes and those that join them.
    """
    nodes = list(graph)
    names: dict[ir.Node, object] = {
        node: _LAST if pinned(node) else _FIRST if node in refusals else node for node in nodes
    }
    # Equal prices: the later Transpose wins, so that what follows a layer stays with it and can be fused into
    # it.
    scale = 4 * (len(nodes) + 1) ** 2
    cut = nx.DiGraph()
    cut.add_nodes_from((_LAST, _FIRST, *names.values()))
    for index, (value, origin) in enumerate(_maps(graph, names, has_layout)):
        readers = {names[use.node] if use.node.graph is graph else _FIRST for use in value.uses()} | (
            {_FIRST} if value.is_graph_output() else set()
        )
        if readers <= {origin}:
            continue
        price = (transposed_bytes(value) + NODE_PRICE) * scale + 2 * len(nodes) - index
        entering, leaving = ("entering", value), ("leaving", value)
        cut.add_edge(entering, origin, capacity=price)
        cut.add_edge(origin, leaving, capacity=price)
        for reader in readers:
            cut.add_edge(reader, entering)
            cut.add_edge(leaving, reader)
    _, (last, _) = nx.minimum_cut(cut, _LAST, _FIRST)
    return {node for node in nodes if names[node] in last}


def _maps(
    graph: ir.Graph, names: Mapping[ir.Node, object], has_layout: Callable[[ir.Value], bool]
) -> Iterable[tuple[ir.Value, object]]:
    """Yields each map of the graph with its producer; inputs, and what has no layout, are channels-first."""
    for value in graph.inputs:
        if is_map(value):
            yield value, _FIRST
    for node in graph:
        for value in node.outputs:
            if is_map(value):
                yield value, names[node] if has_layout(value) else _FIRST
