"""Mean, sum and maximum over axes that lie beside each other."""

from __future__ import annotations

import math

from rbnn_deploy.exporters.c.graph import Graph, Node, UnsupportedNodeError
from rbnn_deploy.exporters.c.program import Step

FUNCTIONS = {"ReduceMean": "reduce_mean", "ReduceSum": "reduce_sum", "ReduceMax": "reduce_max"}


def emit(graph: Graph, node: Node) -> None:
    """Adds the step of a reduction."""
    rank = len(graph.shape(node.inputs[0]))
    given = node.attributes.get("axes")
    if given is None and node.input(1):
        given = graph.constant(node.input(1)).tolist()
    if not given and node.attributes.get("noop_with_empty_axes", 0):
        raise UnsupportedNodeError("reduces no axis")
    _add(graph, node, FUNCTIONS[node.op], [axis % rank for axis in given or range(rank)])


def emit_global(graph: Graph, node: Node) -> None:
    """Adds the step of a GlobalAveragePool: the mean over all axes behind the channels."""
    _add(graph, node, "reduce_mean", list(range(2, len(graph.shape(node.inputs[0])))))


def _add(graph: Graph, node: Node, function: str, axes: list[int]) -> None:
    shape = graph.shape(node.inputs[0])
    # Axes of one element change nothing, and the batch is one.
    reduced = [axis for axis in sorted(axes) if shape[axis] > 1]
    first, last = (reduced[0], reduced[-1]) if reduced else (0, -1)
    if math.prod(shape[first : last + 1]) != math.prod(shape[axis] for axis in reduced):
        raise UnsupportedNodeError("reduces axes that do not lie beside each other")
    outer, count, inner = (
        math.prod(part) for part in (shape[:first], shape[first : last + 1], shape[last + 1 :])
    )
    x = graph.buffer(node.inputs[0])
    y = graph.new_buffer(node.outputs[0])
    graph.add(
        Step(
            graph.comment(node),
            lambda at: f"{function}({at[x]}, {outer}, {count}, {inner}, {at[y]});",
            reads=(x,),
            writes=(y,),
            kernel=function,
            in_place=x,
            result=node.outputs[0],
        )
    )
