"""Conv with float32 weights: a window is copied into a row, and the row times a matrix gives the outputs."""

from __future__ import annotations

import numpy as np

from rbnn_deploy.exporters.c.graph import Graph, Node, UnsupportedNodeError
from rbnn_deploy.exporters.c.operators.layout import window_geometry
from rbnn_deploy.exporters.c.program import Buffer, Step
from rbnn_deploy.exporters.c.structures import structure


def emit(graph: Graph, node: Node) -> None:
    """Adds the step of a Conv."""
    value, weights_name, bias_name = node.inputs[0], node.inputs[1], node.input(2)
    groups = node.attributes.get("group", 1)
    weights = graph.weights(weights_name)
    if weights.ndim != 4:
        raise UnsupportedNodeError("is no two-dimensional convolution")
    outputs, per_group, KH, KW = weights.shape
    bias = graph.weights(bias_name) if bias_name else np.zeros(outputs, np.float32)
    # [groups, products, outputs of the group]: the row of a window meets each product once, in this order.
    matrix = weights.reshape(groups, outputs // groups, per_group * KH * KW).transpose(0, 2, 1)
    x = graph.buffer(value)
    row = Buffer(f"window of {node.name}", "float", per_group * KH * KW)
    name = graph.identifier("layer", node.name)
    layer = structure(
        "conv2d",
        name,
        {
            **window_geometry(graph, node, (KH, KW)),
            "groups": groups,
            "weights": graph.table(
                "weights", weights_name, matrix, "float",
                f"{groups} groups x {per_group * KH * KW} products (c, i, j) x {outputs // groups} outputs",
            ),
            "bias": graph.table(
                "bias", bias_name or f"{node.name} none", bias, "float", f"{outputs} outputs"
            ),
        },
    )  # fmt: skip
    y = graph.new_buffer(node.outputs[0])
    graph.add(
        Step(
            graph.comment(node, f"{KH} x {KW} taps"),
            lambda at: f"conv2d(&{name}, {at[x]}, {at[y]}, {at[row]});",
            reads=(x,),
            writes=(y, row),
            kernel="conv2d",
            layer=layer,
            result=node.outputs[0],
        )
    )
