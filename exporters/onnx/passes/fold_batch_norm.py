"""Folds a BatchNormalization into the linear layer behind it.

Gemm(m x + a, W, b) with transB = 1 is x (W diag(m))^T + (b + W a): composed in float64, rounded once.
"""

import numpy as np
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    Writer,
    constant_array,
    floating,
    integer,
    only_reader,
    operand,
    producer,
    remove,
)
from rbnn_deploy.exporters.onnx.layout.handlers.linear import batch_norm_affine
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass

WEIGHT, BIAS = 1, 2  # indices of inputs


def _refusal(gemm: ir.Node, norm: ir.Node) -> str:
    if integer(gemm, "transB", 0) != 1 or integer(gemm, "transA", 0) != 0:
        return "the product is not that of a linear layer"
    if floating(gemm, "alpha", 1.0) != 1.0 or floating(gemm, "beta", 1.0) != 1.0:
        return "the product is scaled"
    bias = operand(gemm, BIAS)
    if constant_array(operand(gemm, WEIGHT)) is None or (bias is not None and constant_array(bias) is None):
        return "the weights are not constant"
    if batch_norm_affine(norm) is None:
        return "the statistics are not constant"
    if only_reader(norm.outputs[0]) is None:
        return "somebody else reads the BatchNormalization"
    return ""


class FoldBatchNorm(ExplainedPass):
    """Folds BatchNormalization into Gemm; a convolution in front of it has taken it already (onnxsim)."""

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for gemm in [node for node in graph if node.op_type == "Gemm" and node.domain == ""]:
            norm = producer(gemm.inputs[0])
            if norm is None or norm.op_type != "BatchNormalization":
                continue
            if refusal := _refusal(gemm, norm):
                self.note(gemm, f"not folded: the BatchNormalization in front, because {refusal}", done=False)
                continue
            _fold(gemm, norm)
            self.note(gemm, "folded: the BatchNormalization in front")
            modified = True
        return modified


def _fold(gemm: ir.Node, norm: ir.Node) -> None:
    affine, weight = batch_norm_affine(norm), constant_array(operand(gemm, WEIGHT))
    bias = constant_array(operand(gemm, BIAS))
    assert affine is not None
    assert weight is not None
    wide = weight.astype(np.float64)
    writer = Writer(gemm)
    gemm.resize_inputs(BIAS + 1)
    gemm.replace_input_with(WEIGHT, writer.constant((wide * affine.multiplier).astype(np.float32)))
    offset = wide @ affine.offset + (0.0 if bias is None else bias)
    gemm.replace_input_with(BIAS, writer.constant(offset.astype(np.float32)))
    gemm.replace_input_with(0, norm.inputs[0])
    remove([norm])
