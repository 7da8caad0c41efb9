"""Moves a channels-last-to-first Transpose below elementwise operators.

1. f(T(x)) = T(f(x)) for an operator f of one tensor, further inputs being single elements.
2. f(T(x), b) = T(f(x, T'(b))) for two operands, T' the inverse of T, and likewise for f(b, T(x)).
   A constant b has its axes moved now; a computed one gets a Transpose, which meets its own inverse
   if b comes out of the channels-last region too, and otherwise is the one that enters it.
"""

from typing import ClassVar

from onnxscript import ir
from onnxscript.rewriter.pattern import MatchResult, RewriteRule

from rbnn_deploy.exporters.onnx.rules.common import (
    TO_CHANNELS_FIRST,
    Match,
    SinkRule,
    channels_last_operand,
    channels_last_output,
    constant_array,
    emit,
    emit_pattern,
    producer,
)

UNARY = (
    "Abs", "Ceil", "Clip", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu",
    "Mish", "Neg", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Sqrt", "Tanh",
)  # fmt: skip
BINARY = ("Add", "Div", "Max", "Min", "Mul", "PRelu", "Sub")


class SinkBelowUnary(SinkRule):
    """Rule 1."""

    def __init__(self, op_type: str) -> None:
        super().__init__(f"SinkBelow{op_type}")
        self.op_type = op_type

    def pattern(self, op: Match, x: ir.Value) -> ir.Value:
        """Matches f(T(x), ...)."""
        transposed = op.Transpose(x, perm=list(TO_CHANNELS_FIRST))
        return emit_pattern(op, self.op_type, [transposed], outputs=["y"], others=True)

    def check(self, context: Match, x: ir.Value, y: ir.Value) -> MatchResult:
        """Requires further inputs to be absent or single constant elements."""
        for extra in producer(y).inputs[1:]:
            array = constant_array(extra)
            if extra is not None and (array is None or array.size != 1):
                return MatchResult().fail(f"{self.op_type} has an input that is not a single constant")
        return MatchResult()

    def rewrite(self, op: Match, x: ir.Value, y: ir.Value) -> ir.Value:
        """Builds T(f(x, ...))."""
        node = producer(y)
        return channels_last_output(
            op, emit(op, self.op_type, x, *node.inputs[1:], **node.attributes), like=y
        )


class SinkBelowBinary(SinkRule):
    """Rule 2, for the left or the right operand."""

    sides: ClassVar = ("left", "right")

    def __init__(self, op_type: str, side: str) -> None:
        super().__init__(f"SinkBelow{op_type}{side.capitalize()}")
        self.op_type = op_type
        self.left = side == "left"

    def pattern(self, op: Match, x: ir.Value, b: ir.Value) -> ir.Value:
        """Matches f(T(x), b) or f(b, T(x))."""
        transposed = op.Transpose(x, perm=list(TO_CHANNELS_FIRST))
        operands = [transposed, b] if self.left else [b, transposed]
        return emit_pattern(op, self.op_type, operands, outputs=["y"])

    def check(self, context: Match, x: ir.Value, b: ir.Value, y: ir.Value) -> MatchResult:
        """Requires the other operand to be constant or of rank 4."""
        array = constant_array(b)
        if array is not None and array.ndim > 4:
            return MatchResult().fail("the other operand has more than four axes")
        if array is None and (b.shape is None or b.shape.rank() != 4):
            return MatchResult().fail("the other operand is neither constant nor known to have four axes")
        return MatchResult()

    def rewrite(self, op: Match, x: ir.Value, b: ir.Value, y: ir.Value) -> ir.Value:
        """Builds T(f(x, T'(b)))."""
        other = channels_last_operand(op, b)
        operands = (x, other) if self.left else (other, x)
        return channels_last_output(op, emit(op, self.op_type, *operands, **producer(y).attributes), like=y)


def rules() -> list[RewriteRule]:
    """Returns the rules of this module."""
    unary = [SinkBelowUnary.rule(op_type) for op_type in UNARY]
    binary = [SinkBelowBinary.rule(op_type, side) for op_type in BINARY for side in SinkBelowBinary.sides]
    return unary + binary
