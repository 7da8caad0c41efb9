"""MaxPool and AveragePool."""

from __future__ import annotations

from rbnn_deploy.exporters.c.graph import Graph, Node, UnsupportedNodeError
from rbnn_deploy.exporters.c.operators.layout import window_geometry
from rbnn_deploy.exporters.c.program import Step
from rbnn_deploy.exporters.c.structures import structure


def emit(graph: Graph, node: Node) -> None:
    """Adds the step of a pool."""
    for name in ("ceil_mode", "storage_order"):
        node.require(name, 0)
    if len([name for name in node.outputs if name]) != 1:
        raise UnsupportedNodeError("also returns the places of its maxima")
    kernel = node.attributes["kernel_shape"]
    if len(kernel) != 2:
        raise UnsupportedNodeError("is not of a map with two axes")
    x = graph.buffer(node.inputs[0])
    name = graph.identifier("layer", node.name)
    members: dict[str, int | float | str] = {**window_geometry(graph, node, (kernel[0], kernel[1]))}
    function = "max_pool" if node.op == "MaxPool" else "average_pool"
    if node.op == "AveragePool":
        members["count_padding"] = node.attributes.get("count_include_pad", 0)
    y = graph.new_buffer(node.outputs[0])
    graph.add(
        Step(
            graph.comment(node, f"windows of {kernel[0]} x {kernel[1]}"),
            lambda at: f"{function}(&{name}, {at[x]}, {at[y]});",
            reads=(x,),
            writes=(y,),
            kernel=function,
            layer=structure(function, name, members),
            result=node.outputs[0],
        )
    )
