"""Operators that compute each element on its own, in place where nobody else needs the input."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from rbnn_deploy.exporters.c.graph import Graph, Node, Shape, UnsupportedNodeError
from rbnn_deploy.exporters.c.program import Buffer, Step
from rbnn_deploy.exporters.c.structures import float_constant

FUNCTIONS = {
    "Add": "add",
    "Sub": "subtract",
    "Mul": "multiply",
    "Div": "divide",
    "Min": "minimum",
    "Max": "maximum",
    "PRelu": "prelu",
    "Less": "less",
    "Greater": "greater",
}


def emit_clip(graph: Graph, node: Node) -> None:
    """Adds the step of a Clip or a Relu; a limit that is absent is the largest float32."""
    if node.op == "Relu":
        _add_unary(graph, node, "relu", "")
        return
    limits = []
    for index, (name, absent) in enumerate((("min", -np.inf), ("max", np.inf)), start=1):
        value = node.attributes.get(name, absent)
        if node.input(index):
            value = graph.constant(node.input(index)).reshape(-1)[0]
        if math.isnan(value):
            raise UnsupportedNodeError("has a limit that is no number")
        largest = np.finfo(np.float32).max
        limits.append(float_constant(np.clip(np.float32(value), -largest, largest)))
    _add_unary(graph, node, "clip", f", {limits[0]}, {limits[1]}")


def emit_leaky_relu(graph: Graph, node: Node) -> None:
    """Adds the step of a LeakyRelu."""
    _add_unary(graph, node, "leaky_relu", f", {float_constant(node.attributes.get('alpha', 0.01))}")


def emit_batch_norm(graph: Graph, node: Node) -> None:
    """Adds the step of a BatchNormalization with stored statistics."""
    node.require("training_mode", 0)
    if len(node.outputs) > 1:
        raise UnsupportedNodeError("has several outputs")
    shape = graph.shape(node.inputs[0])
    factor, bias, mean, variance = (graph.weights(name) for name in node.inputs[1:5])
    epsilon = np.float32(node.attributes.get("epsilon", 1e-5))
    tables = (
        graph.table("factor", node.inputs[1], factor, "float", f"{factor.size} channels"),
        graph.table("mean", node.inputs[3], mean, "float", f"{mean.size} channels"),
        graph.table(
            "deviation",
            node.inputs[4],
            np.sqrt(variance + epsilon),
            "float",
            f"its root with {epsilon:g} added",
        ),
        graph.table("bias", node.inputs[2], bias, "float", f"{bias.size} channels"),
    )
    inner = math.prod(shape[2:])
    _add_unary(graph, node, "batch_norm", f", {shape[1]}, {inner}, {', '.join(tables)}")


def _add_unary(graph: Graph, node: Node, function: str, parameters: str) -> None:
    x = graph.buffer(node.inputs[0])
    y = graph.new_buffer(node.outputs[0])
    graph.add(
        Step(
            graph.comment(node),
            lambda at: f"{function}({at[x]}, {x.count}{parameters}, {at[y]});",
            reads=(x,),
            writes=(y,),
            kernel=function,
            in_place=x,
            result=node.outputs[0],
        )
    )


def emit_binary(graph: Graph, node: Node) -> None:
    """Adds the step of an operator of two inputs, of which one may be repeated to the shape of the other.

    y[i] = f(a[i], b[(i / inner) % count]), or with a and b exchanged.
    """
    if len(node.inputs) != 2:  # Min and Max take any number
        raise UnsupportedNodeError(f"has {len(node.inputs)} inputs, not two")
    left, right = node.inputs
    result = graph.shape(node.outputs[0])
    whole_left = graph.is_computed(left) and math.prod(graph.shape(left)) == math.prod(result)
    if not whole_left and node.op in ("Sub", "Div", "PRelu", "Less", "Greater"):
        raise UnsupportedNodeError("repeats its first input")
    whole, other = (left, right) if whole_left else (right, left)
    if not graph.is_computed(whole) or math.prod(graph.shape(whole)) != math.prod(result):
        raise UnsupportedNodeError("repeats both of its inputs")
    count, inner = _repetition(graph.shape(other), result)
    a = graph.buffer(whole)
    b, table = _operand(graph, other, count)
    function = FUNCTIONS[node.op]
    y = graph.new_buffer(node.outputs[0])

    def call(at: Mapping[Buffer, str]) -> str:
        second = table if b is None else at[b]
        return f"{function}({at[a]}, {a.count}, {second}, {count}, {inner}, {at[y]});"

    graph.add(
        Step(
            graph.comment(node),
            call,
            reads=(a,) if b is None else (a, b),
            writes=(y,),
            kernel=function,
            in_place=None if b is a else a,
            result=node.outputs[0],
        )
    )


def emit_where(graph: Graph, node: Node) -> None:
    """Adds the step of a Where; truth values are floats, 1 and 0."""
    result = graph.shape(node.outputs[0])
    condition = graph.buffer(node.inputs[0])
    if condition.count != math.prod(result):
        raise UnsupportedNodeError("repeats its condition")
    operands = []
    for name in node.inputs[1:]:
        count, inner = _repetition(graph.shape(name), result)
        operands.append((*_operand(graph, name, count), count, inner))
    y = graph.new_buffer(node.outputs[0])
    buffers = tuple(buffer for buffer, *_ in operands if buffer is not None)

    def call(at: Mapping[Buffer, str]) -> str:
        a, b = (
            f"(struct repeated){{{table if buffer is None else at[buffer]}, {count}, {inner}}}"
            for buffer, table, count, inner in operands
        )
        return f"where({at[condition]}, {condition.count}, {a}, {b}, {at[y]});"

    graph.add(
        Step(
            graph.comment(node),
            call,
            reads=(condition, *buffers),
            writes=(y,),
            kernel="where",
            in_place=None if condition in buffers else condition,
            result=node.outputs[0],
        )
    )


def _operand(graph: Graph, name: str, count: int) -> tuple[Buffer | None, str]:
    """Returns an operand's buffer, or None and the C name of its constants."""
    if graph.is_computed(name):
        return graph.buffer(name), ""
    return None, graph.table("values", name, graph.weights(name), "float", f"{count} values")


def _repetition(shape: Shape, result: Shape) -> tuple[int, int]:
    """Returns (count, inner): element i of the result needs element (i / inner) % count.

    Raises:
        UnsupportedNodeError: The repetition is not of this kind.
    """
    sizes = (1,) * (len(result) - len(shape)) + shape
    own = [axis for axis, size in enumerate(sizes) if size > 1]
    if not own:
        return 1, 1
    first, last = own[0], own[-1]
    if any(sizes[axis] != result[axis] for axis in range(first, last + 1)):
        raise UnsupportedNodeError("repeats an input along axes in its middle")
    return math.prod(sizes[first : last + 1]), math.prod(result[last + 1 :])
