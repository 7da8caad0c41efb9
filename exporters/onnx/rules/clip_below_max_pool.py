"""Moves the float stem's Clip behind its max pool and behind the change of layout, where the map is smallest.

Clip does not decrease and rounds nothing, so it commutes with a maximum, to the bit (NaN aside: a maximum's
NaN is not defined), and with any reordering:

    Transpose(MaxPool(Clip(x))) = Clip(Transpose(MaxPool(x))).

ONNX Runtime fuses a Clip into the convolution in front of it, but runs it as a pass of its own over the
convolution's output; a stride of 2 leaves a quarter of the elements. A Relu is free where it stands.
"""

from onnxscript import ir
from onnxscript.rewriter.pattern import MatchResult, RewriteRule, RewriteRuleClassBase

from rbnn_deploy.exporters.onnx.rules.common import (
    TO_CHANNELS_LAST,
    Match,
    constant_array,
    emit,
    ints,
    producer,
)


class ClipBelowMaxPool(RewriteRuleClassBase):
    """The one rule of this module."""

    def pattern(self, op: Match, x: ir.Value) -> ir.Value:
        """Matches a change of layout behind MaxPool of Clip, nobody else reading what is between."""
        clipped = op.Clip(x, _allow_other_inputs=True, _outputs=["clipped"])
        pooled = op.MaxPool(clipped, _outputs=["pooled"])
        value: ir.Value = op.Transpose(pooled, perm=list(TO_CHANNELS_LAST), _outputs=["y"])
        return value

    def check(
        self, context: Match, x: ir.Value, clipped: ir.Value, pooled: ir.Value, **_: ir.Value
    ) -> MatchResult:
        """Requires constant bounds and a pool that makes the map smaller."""
        if any(bound is not None and constant_array(bound) is None for bound in producer(clipped).inputs[1:]):
            return MatchResult().fail("the bounds are not constant")
        pool = producer(pooled)
        if len(pool.outputs) != 1:
            return MatchResult().fail("the pool's indices are used")
        if max(ints(pool, "strides", (1,))) == 1:
            return MatchResult().fail("the pooled map is not smaller")
        return MatchResult()

    def rewrite(self, op: Match, x: ir.Value, clipped: ir.Value, pooled: ir.Value, y: ir.Value) -> ir.Value:
        """Builds the Clip of the smaller map."""
        first = emit(op, "MaxPool", x, **producer(pooled).attributes)
        first.shape, first.type = pooled.shape, pooled.type
        last = emit(op, "Transpose", first, perm=TO_CHANNELS_LAST)
        last.shape, last.type = y.shape, y.type
        return emit(op, "Clip", last, *producer(clipped).inputs[1:])


def rules() -> list[RewriteRule]:
    """Returns the rule of this module."""
    return [ClipBelowMaxPool.rule()]
