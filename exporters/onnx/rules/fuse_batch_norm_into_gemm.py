"""Folds a BatchNormalization into the linear layer behind it.

Gemm(m x + a, W, b) with transB = 1 is x (W diag(m))^T + (b + W a): composed in float64, rounded once.
"""

import numpy as np
from onnxscript import ir
from onnxscript.rewriter.pattern import MatchResult, RewriteRule, RewriteRuleClassBase

from rbnn_deploy.exporters.onnx.rules.common import Match, constant, constant_array, emit, integer, producer
from rbnn_deploy.exporters.onnx.rules.sink_affine import batch_norm_affine


class FuseBatchNormIntoGemm(RewriteRuleClassBase):
    """The one rule of this module."""

    def pattern(self, op: Match, x: ir.Value, w: ir.Value, b: ir.Value) -> ir.Value:
        """Matches Gemm of a BatchNormalization."""
        norm = op.BatchNormalization(x, _allow_other_inputs=True, _outputs=["norm"])
        value: ir.Value = op.Gemm(norm, w, b, _outputs=["y"])
        return value

    def check(
        self, context: Match, w: ir.Value, b: ir.Value, norm: ir.Value, y: ir.Value, **_: ir.Value
    ) -> MatchResult:
        """Requires constants and the form that a linear layer has."""
        node = producer(y)
        if integer(node, "transB", 0) != 1 or integer(node, "transA", 0) != 0:
            return MatchResult().fail("the product is not that of a linear layer")
        if any(
            name in node.attributes and node.attributes[name].as_float() != 1.0 for name in ("alpha", "beta")
        ):
            return MatchResult().fail("the product is scaled")
        if (
            constant_array(w) is None
            or constant_array(b) is None
            or batch_norm_affine(producer(norm)) is None
        ):
            return MatchResult().fail("a parameter is not constant")
        return MatchResult()

    def rewrite(
        self, op: Match, x: ir.Value, w: ir.Value, b: ir.Value, norm: ir.Value, y: ir.Value
    ) -> ir.Value:
        """Builds the folded product."""
        affine = batch_norm_affine(producer(norm))
        weight, bias = constant_array(w), constant_array(b)
        assert affine is not None
        assert weight is not None
        assert bias is not None
        wide = weight.astype(np.float64)
        folded_weight = (wide * affine.multiplier).astype(np.float32)
        folded_bias = (bias + wide @ affine.offset).astype(np.float32)
        node = producer(y)
        result = emit(
            op, "Gemm", x, constant(op, folded_weight), constant(op, folded_bias), **node.attributes
        )
        producer(result).name = node.name
        return result


def rules() -> list[RewriteRule]:
    """Returns the rule of this module."""
    return [FuseBatchNormIntoGemm.rule()]
