"""Operators that change a shape, or nothing: no code, another name for the same memory."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, numpy_helper

from rbnn_deploy.exporters.c.graph import Graph, Node, UnsupportedNodeError


def emit(graph: Graph, node: Node) -> None:
    """Gives the input's memory a second name."""
    value, result = node.inputs[0], node.outputs[0]
    if np.prod(graph.shape(value)) != np.prod(graph.shape(result)):
        raise UnsupportedNodeError("changes the number of elements")
    graph.alias(result, value)


def emit_constant(graph: Graph, node: Node) -> None:
    """Notes the constant."""
    value = next(iter(node.attributes.values()), None)
    if isinstance(value, TensorProto):
        graph.add_constant(node.outputs[0], numpy_helper.to_array(value))
    elif isinstance(value, int):
        graph.add_constant(node.outputs[0], np.asarray(value, np.int64))
    elif isinstance(value, float):
        graph.add_constant(node.outputs[0], np.asarray(value, np.float32))
    elif isinstance(value, list) and all(isinstance(v, int | float) for v in value):
        kind = np.float32 if any(isinstance(v, float) for v in value) else np.int64
        graph.add_constant(node.outputs[0], np.asarray(value, kind))
    else:
        raise UnsupportedNodeError("is a constant of a kind that C has not")
