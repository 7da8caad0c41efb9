"""Moves a channels-last-to-first Transpose below float layers that act on each pixel by itself.

1. BatchNormalization(T(x)) = T(m x + a) with m and a per channel (rbnn_deploy.affine, rule 1).
2. Conv(T(x)) with a 1 x 1 kernel, no padding and one group is a matrix product over the last axis:
   T(Slice(x, every stride-th pixel) W^T + b).
"""

import numpy as np
from onnxscript import ir
from onnxscript.rewriter.pattern import MatchResult, RewriteRule

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.exporters.onnx.rules.common import (
    MAP_AXES,
    TO_CHANNELS_FIRST,
    Match,
    SinkRule,
    channels_last_output,
    constant,
    constant_array,
    emit,
    integer,
    ints,
    producer,
    text,
)


def batch_norm_affine(node: ir.Node) -> ChannelAffine | None:
    """Returns the constant map of a BatchNormalization node in inference; None where it is not constant."""
    arrays = [constant_array(value) for value in node.inputs[1:5]]
    if integer(node, "training_mode", 0) or len(arrays) != 4 or any(array is None for array in arrays):
        return None
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
    gamma, beta, mean, var = (np.asarray(array) for array in arrays)
    return ChannelAffine.from_batch_norm(gamma, beta, mean, var, epsilon)


class SinkBelowBatchNorm(SinkRule):
    """Rule 1."""

    def pattern(self, op: Match, x: ir.Value) -> ir.Value:
        """Matches BatchNormalization of a transposed value."""
        value: ir.Value = op.BatchNormalization(
            op.Transpose(x, perm=list(TO_CHANNELS_FIRST)), _allow_other_inputs=True, _outputs=["y"]
        )
        return value

    def check(self, context: Match, x: ir.Value, y: ir.Value) -> MatchResult:
        """Requires constant parameters."""
        if batch_norm_affine(producer(y)) is None:
            return MatchResult().fail("the statistics are not constant")
        return MatchResult()

    def rewrite(self, op: Match, x: ir.Value, y: ir.Value) -> ir.Value:
        """Builds one multiplication and one addition."""
        affine = batch_norm_affine(producer(y))
        assert affine is not None
        multiplier, offset = affine.rounded()
        scaled = op.Mul(x, constant(op, multiplier))
        return channels_last_output(op, op.Add(scaled, constant(op, offset)), like=y)


class SinkBelowPointwiseConv(SinkRule):
    """Rule 2."""

    def pattern(self, op: Match, x: ir.Value, w: ir.Value) -> ir.Value:
        """Matches Conv of a transposed value, with or without a bias."""
        value: ir.Value = op.Conv(
            op.Transpose(x, perm=list(TO_CHANNELS_FIRST)), w, _allow_other_inputs=True, _outputs=["y"]
        )
        return value

    def check(self, context: Match, x: ir.Value, w: ir.Value, y: ir.Value) -> MatchResult:
        """Requires constant 1 x 1 weights, no padding, one group."""
        node, weight = producer(y), constant_array(w)
        if weight is None or weight.ndim != 4 or weight.shape[2:] != (1, 1):
            return MatchResult().fail("the kernel is not a constant of 1 x 1")
        if any(ints(node, "pads")) or text(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            return MatchResult().fail("the map is padded")
        if integer(node, "group", 1) != 1:
            return MatchResult().fail("the convolution has groups")
        return MatchResult()

    def rewrite(self, op: Match, x: ir.Value, w: ir.Value, y: ir.Value) -> ir.Value:
        """Builds the strided selection, the product and the bias."""
        node, weight = producer(y), constant_array(w)
        assert weight is not None
        strides = ints(node, "strides", (1, 1))
        if strides != (1, 1):
            starts, ends = np.zeros(2, np.int64), np.full(2, np.iinfo(np.int64).max)
            arrays = (starts, ends, np.array(MAP_AXES, np.int64), np.array(strides, np.int64))
            x = emit(op, "Slice", x, *(constant(op, array) for array in arrays))
        result = emit(op, "MatMul", x, constant(op, np.ascontiguousarray(weight[:, :, 0, 0].T)))
        producer(result).name = node.name
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            result = emit(op, "Add", result, node.inputs[2])
        return channels_last_output(op, result, like=y)


def rules() -> list[RewriteRule]:
    """Returns the rules of this module."""
    return [SinkBelowBatchNorm.rule(), SinkBelowPointwiseConv.rule()]
