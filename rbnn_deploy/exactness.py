"""Which operators give the same values on every processor, and the nodes of a model that may not.

Operators of `ai.rbnn` do, by their specifications. Of the standard ones do those that move data, compare, or
choose among elements, and those that round once: IEEE 754 leaves a sum, a difference, a product and a
quotient of two numbers no choice. A sum of several products has as many results as orders, and an exponential
as many as libraries; a square root or a reciprocal would have one, but some libraries approximate it. Zeros
may differ in their sign, not-a-number in its bits, and casts where the target type lacks the number.
"""

from collections.abc import Iterator

import onnx

from rbnn_deploy.onnx_graph import attributes
from rbnn_deploy.operators import DOMAIN

MOVING = frozenset(
    (
        "Cast", "Compress", "Concat", "Constant", "ConstantOfShape", "DepthToSpace", "Expand", "Flatten",
        "Gather", "GatherElements", "GatherND", "Identity", "Pad", "Range", "Reshape", "ScatterElements",
        "ScatterND", "Shape", "Size", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose",
        "Trilu", "Unsqueeze",
    )
)  # fmt: skip
CHOOSING = frozenset(
    (
        "Abs", "And", "ArgMax", "ArgMin", "Ceil", "Clip", "Equal", "Floor", "GlobalMaxPool", "Greater",
        "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Max", "MaxPool", "Min", "Neg", "Not",
        "Or", "ReduceMax", "ReduceMin", "Relu", "Round", "Sign", "Where", "Xor",
    )
)  # fmt: skip
ROUNDING_ONCE = frozenset(("Add", "Div", "LeakyRelu", "Mul", "PRelu", "Sub"))
EXACT = MOVING | CHOOSING | ROUNDING_ONCE


def inexact_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yields the nodes whose values may differ between processors, also those in graphs inside nodes."""
    for node in graph.node:
        inside = [value for value in attributes(node).values() if isinstance(value, onnx.GraphProto)]
        for nested in inside:
            yield from inexact_nodes(nested)
        if not inside and node.domain != DOMAIN and (node.domain or node.op_type not in EXACT):
            yield node


def is_exact(model: onnx.ModelProto) -> bool:
    """Tells whether a model gives the same values on every processor."""
    return next(inexact_nodes(model.graph), None) is None
