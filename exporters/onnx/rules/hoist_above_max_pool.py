"""Brings what follows a MaxPool in front of it, where the convolution's epilogue takes it up for nothing.

A maximum commutes with a non-decreasing function, to the bit, because rounding is monotone as well.

1. BatchNormalization, a map m x + a per channel. With s = sign(m) (+1 for 0), |m| x + s a does not decrease,
   so m max(x) + a = s max(|m| x + s a). Where no m is negative the outer product with s is left out.
2. Clip and Relu do not decrease: Clip(max(x)) = max(Clip(x)).
3. Clip(s x, -c, c) = s Clip(x, -c, c) for s of +1 and -1, which lets rule 2 follow rule 1.
"""

import numpy as np
from onnxscript import ir
from onnxscript.rewriter.pattern import MatchResult, RewriteRule, RewriteRuleClassBase

from rbnn_deploy.exporters.onnx.rules.common import (
    Match,
    constant,
    constant_array,
    emit,
    emit_pattern,
    is_channels_first_transpose,
    producer,
)
from rbnn_deploy.exporters.onnx.rules.sink_affine import batch_norm_affine


def _like(result: ir.Value, original: ir.Value) -> ir.Value:
    result.shape, result.type = original.shape, original.type
    return result


def _refusal(pool: ir.Value, x: ir.Value) -> str:
    """Returns why nothing is hoisted: elsewhere it would only mean more work in front of the pool."""
    if len(producer(pool).outputs) != 1:
        return "the pool's indices are used"
    source: ir.Value | None = x
    while source is not None and (node := source.producer()) is not None:
        if is_channels_first_transpose(source):
            return ""
        if node.op_type not in ("Add", "Mul", "Clip", "Relu"):
            break
        source = node.inputs[0]
    return "what is pooled is not the output of a binary convolution"


class HoistBatchNorm(RewriteRuleClassBase):
    """Rule 1."""

    def pattern(self, op: Match, x: ir.Value) -> ir.Value:
        """Matches BatchNormalization of a MaxPool."""
        pool = op.MaxPool(x, _outputs=["pool"])
        value: ir.Value = op.BatchNormalization(pool, _allow_other_inputs=True, _outputs=["y"])
        return value

    def check(self, context: Match, x: ir.Value, pool: ir.Value, y: ir.Value) -> MatchResult:
        """Requires constant statistics, and a pool behind a binary convolution."""
        if batch_norm_affine(producer(y)) is None:
            return MatchResult().fail("the statistics are not constant")
        reason = _refusal(pool, x)
        return MatchResult().fail(reason) if reason else MatchResult()

    def rewrite(self, op: Match, x: ir.Value, pool: ir.Value, y: ir.Value) -> ir.Value:
        """Builds s MaxPool(|m| x + s a)."""
        affine = batch_norm_affine(producer(y))
        assert affine is not None
        sign = np.where(affine.multiplier < 0, -1.0, 1.0)

        def channel(array: np.ndarray) -> ir.Value:
            return constant(op, array.astype(np.float32).reshape(-1, 1, 1))

        scaled = _like(op.Mul(x, channel(sign * affine.multiplier)), x)
        shifted = _like(op.Add(scaled, channel(sign * affine.offset)), x)
        pooled = _like(emit(op, "MaxPool", shifted, **producer(pool).attributes), pool)
        return pooled if (sign > 0).all() else emit(op, "Mul", pooled, channel(sign))


class HoistActivation(RewriteRuleClassBase):
    """Rule 2."""

    def __init__(self, op_type: str) -> None:
        super().__init__(f"Hoist{op_type}AboveMaxPool")
        self.op_type = op_type

    def pattern(self, op: Match, x: ir.Value) -> ir.Value:
        """Matches the activation of a MaxPool."""
        return emit_pattern(op, self.op_type, [op.MaxPool(x, _outputs=["pool"])], outputs=["y"], others=True)

    def check(self, context: Match, x: ir.Value, pool: ir.Value, y: ir.Value) -> MatchResult:
        """Requires a pool behind a binary convolution."""
        reason = _refusal(pool, x)
        return MatchResult().fail(reason) if reason else MatchResult()

    def rewrite(self, op: Match, x: ir.Value, pool: ir.Value, y: ir.Value) -> ir.Value:
        """Builds the MaxPool of the activation."""
        node = producer(y)
        activated = _like(emit(op, self.op_type, x, *node.inputs[1:], **node.attributes), x)
        return emit(op, "MaxPool", activated, **producer(pool).attributes)


class SwapSymmetricClipAndSign(RewriteRuleClassBase):
    """Rule 3."""

    def pattern(self, op: Match, x: ir.Value, s: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
        """Matches Clip of a product."""
        value: ir.Value = op.Clip(op.Mul(x, s, _outputs=["product"]), low, high)
        return value

    def check(
        self, context: Match, x: ir.Value, s: ir.Value, low: ir.Value, high: ir.Value, product: ir.Value
    ) -> MatchResult:
        """Requires signs and symmetric bounds."""
        signs, bounds = constant_array(s), [constant_array(low), constant_array(high)]
        if signs is None or not (np.abs(signs) == 1).all():
            return MatchResult().fail("the factor is not made of signs")
        if bounds[0] is None or bounds[1] is None or not np.array_equal(bounds[0], -bounds[1]):
            return MatchResult().fail("the bounds are not symmetric")
        return MatchResult()

    def rewrite(
        self, op: Match, x: ir.Value, s: ir.Value, low: ir.Value, high: ir.Value, product: ir.Value
    ) -> ir.Value:
        """Builds the product of the Clip."""
        return emit(op, "Mul", _like(op.Clip(x, low, high), product), s)


def rules() -> list[RewriteRule]:
    """Returns the rules of this module."""
    return [
        HoistBatchNorm.rule(),
        HoistActivation.rule("Clip"),
        HoistActivation.rule("Relu"),
        SwapSymmetricClipAndSign.rule(),
    ]
