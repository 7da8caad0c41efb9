"""Gemm and MatMul: rows times a matrix, one of the two being a constant."""

from __future__ import annotations

import numpy as np

from rbnn_deploy.exporters.c.graph import Array, Graph, Node, UnsupportedNodeError
from rbnn_deploy.exporters.c.program import Step

KERNEL = "matrix_product"


def emit_gemm(graph: Graph, node: Node) -> None:
    """Adds the step of a Gemm, y = x B + c."""
    for name in ("alpha", "beta"):
        node.require(name, 1.0)
    node.require("transA", 0)
    B = graph.weights(node.inputs[1])
    if node.attributes.get("transB", 0):
        B = B.T
    bias = graph.weights(node.inputs[2]) if node.input(2) else None
    if bias is not None:
        bias = np.ascontiguousarray(np.broadcast_to(bias, (1, B.shape[1])))
    _add_rows_times_matrix(graph, node, B, bias)


def emit_matmul(graph: Graph, node: Node) -> None:
    """Adds the step of a MatMul: a value times a constant matrix, or a constant row times a value.

    The row is how a mean over pixels is written.
    """
    left, right = node.inputs
    if graph.is_computed(left):
        B = graph.weights(right)
        if B.ndim != 2:
            raise UnsupportedNodeError("multiplies by a constant that is no matrix")
        _add_rows_times_matrix(graph, node, B, None)
        return
    row = graph.weights(left)
    shape = graph.shape(right)
    if row.size != row.shape[-1] or len(shape) < 2 or shape[-2] != row.size or np.prod(shape[:-2]) != 1:
        raise UnsupportedNodeError("multiplies a constant of more than one row by an activation")
    x = graph.buffer(right)
    table = graph.table("row", left, row, "float", f"{row.size} factors, one per row of the activation")
    y = graph.new_buffer(node.outputs[0])
    graph.add(
        Step(
            graph.comment(node, "a constant row times the map"),
            lambda at: f"matrix_product({table}, 1, {row.size}, {at[x]}, {shape[-1]}, NULL, {at[y]});",
            reads=(x,),
            writes=(y,),
            kernel=KERNEL,
            result=node.outputs[0],
        )
    )


def _add_rows_times_matrix(graph: Graph, node: Node, B: Array, bias: Array | None) -> None:
    value, weights_name = node.inputs[:2]
    x = graph.buffer(value)
    K, outputs = B.shape
    rows = x.count // K
    table = graph.table("weights", weights_name, B, "float", f"{K} products x {outputs} outputs")
    added = (
        "NULL" if bias is None else graph.table("bias", node.inputs[2], bias, "float", f"{outputs} outputs")
    )
    y = graph.new_buffer(node.outputs[0])
    graph.add(
        Step(
            graph.comment(node),
            lambda at: f"matrix_product({at[x]}, {rows}, {K}, {table}, {outputs}, {added}, {at[y]});",
            reads=(x,),
            writes=(y,),
            kernel=KERNEL,
            result=node.outputs[0],
        )
    )
