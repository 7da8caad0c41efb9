"""Moves a channels-last-to-first Transpose below operators that move data along axes.

With T the Transpose from NHWC to NCHW, the NCHW axis a stands at axis p(a) of NHWC:

1. Slice(T(x), starts, ends, axes, steps) = T(Slice(x, starts, ends, p(axes), steps)).
2. Pad(T(x), pads) = T(Pad(x, pads with their axes moved)).
3. Concat(T(x), T(y), ..., axis=a) = T(Concat(x, y, ..., axis=p(a))).
4. Reshape(T(x)) = Reshape(x) where x has one pixel: its values have the same order in both layouts.
"""

import numpy as np
from onnxscript import ir
from onnxscript.rewriter.pattern import MatchResult, RewriteRule

from rbnn_deploy.exporters.onnx.rules.common import (
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    Match,
    SinkRule,
    channels_last_operand,
    channels_last_output,
    constant,
    constant_array,
    emit,
    integer,
    is_channels_first_transpose,
    producer,
    static_shape,
)


class SinkBelowSlice(SinkRule):
    """Rule 1."""

    def pattern(
        self, op: Match, x: ir.Value, starts: ir.Value, ends: ir.Value, axes: ir.Value, steps: ir.Value
    ) -> ir.Value:
        """Matches a Slice with all its inputs."""
        transposed = op.Transpose(x, perm=list(TO_CHANNELS_FIRST))
        value: ir.Value = op.Slice(transposed, starts, ends, axes, steps, _outputs=["y"])
        return value

    def check(self, context: Match, axes: ir.Value, **_: ir.Value) -> MatchResult:
        """Requires constant axes."""
        return MatchResult() if constant_array(axes) is not None else MatchResult().fail("axes not constant")

    def rewrite(
        self,
        op: Match,
        x: ir.Value,
        starts: ir.Value,
        ends: ir.Value,
        axes: ir.Value,
        steps: ir.Value,
        y: ir.Value,
    ) -> ir.Value:
        """Builds the Slice with its axes moved."""
        array = constant_array(axes)
        assert array is not None
        moved = constant(op, np.array([TO_CHANNELS_LAST.index(int(axis) % 4) for axis in array], np.int64))
        return channels_last_output(op, op.Slice(x, starts, ends, moved, steps), like=y)


class SinkBelowPad(SinkRule):
    """Rule 2."""

    def pattern(self, op: Match, x: ir.Value, pads: ir.Value) -> ir.Value:
        """Matches a Pad with or without a value."""
        transposed = op.Transpose(x, perm=list(TO_CHANNELS_FIRST))
        value: ir.Value = op.Pad(transposed, pads, _allow_other_inputs=True, _outputs=["y"])
        return value

    def check(self, context: Match, x: ir.Value, pads: ir.Value, y: ir.Value) -> MatchResult:
        """Requires constant pads of all axes."""
        inputs = producer(y).inputs
        if len(inputs) > 3 and inputs[3] is not None:
            return MatchResult().fail("the pads name their axes")
        array = constant_array(pads)
        return (
            MatchResult()
            if array is not None and array.size == 8
            else MatchResult().fail("pads not constant")
        )

    def rewrite(self, op: Match, x: ir.Value, pads: ir.Value, y: ir.Value) -> ir.Value:
        """Builds the Pad with its pads moved."""
        node, array = producer(y), constant_array(pads)
        assert array is not None
        moved = constant(op, array.reshape(2, 4)[:, list(TO_CHANNELS_LAST)].reshape(8))
        return channels_last_output(
            op, emit(op, "Pad", x, moved, *node.inputs[2:3], **node.attributes), like=y
        )


class SinkBelowConcat(SinkRule):
    """Rule 3; one operand in channels-last layout is enough."""

    def pattern(self, op: Match, x: ir.Value) -> ir.Value:
        """Matches a Concat."""
        value: ir.Value = op.Concat(x, _allow_other_inputs=True, _outputs=["y"])
        return value

    def check(self, context: Match, x: ir.Value, y: ir.Value) -> MatchResult:
        """Requires all operands to be computed values of four axes, and a Transpose in front of one."""
        for operand in producer(y).inputs:
            if operand is None or operand.shape is None or operand.shape.rank() != 4:
                return MatchResult().fail("an operand's rank is not known")
            if constant_array(operand) is not None:
                return MatchResult().fail("an operand is constant")
        if not any(operand and is_channels_first_transpose(operand) for operand in producer(y).inputs):
            return MatchResult().fail("no operand is in channels-last layout")
        return MatchResult()

    def rewrite(self, op: Match, x: ir.Value, y: ir.Value) -> ir.Value:
        """Builds the Concat with its axis moved."""
        node = producer(y)
        operands = [channels_last_operand(op, operand) for operand in node.inputs if operand is not None]
        axis = TO_CHANNELS_LAST.index(integer(node, "axis", 0) % 4)
        return channels_last_output(op, emit(op, "Concat", *operands, axis=axis), like=y)


class DropBeforeReshape(SinkRule):
    """Rule 4, for Reshape and Flatten."""

    def __init__(self, op_type: str) -> None:
        super().__init__(f"DropBefore{op_type}")
        self.op_type = op_type

    def pattern(self, op: Match, x: ir.Value) -> ir.Value:
        """Matches a Reshape of a transposed value."""
        transposed = op.Transpose(x, perm=list(TO_CHANNELS_FIRST))
        value: ir.Value = getattr(op, self.op_type)(transposed, _allow_other_inputs=True, _outputs=["y"])
        return value

    def check(self, context: Match, x: ir.Value, y: ir.Value) -> MatchResult:
        """Requires a 1 x 1 map."""
        transposed = producer(y).inputs[0]
        shape = static_shape(transposed)
        if (
            transposed is None
            or not is_channels_first_transpose(transposed)
            or shape is None
            or shape[2:] != (1, 1)
        ):
            return MatchResult().fail("the map is not 1 x 1")
        if self.op_type == "Flatten" and integer(producer(y), "axis", 1) not in (1, -3):
            return MatchResult().fail("the channels go to the flattened tensor's first axis")
        # A zero in the target shape copies the size of that axis, which differs between the layouts.
        target = constant_array(producer(y).inputs[1]) if self.op_type == "Reshape" else None
        if target is not None and any(size == 0 for size in target[1:]):
            return MatchResult().fail("the target shape copies an axis that moves")
        if self.op_type == "Reshape" and target is None:
            return MatchResult().fail("the target shape is not constant")
        return MatchResult()

    def rewrite(self, op: Match, x: ir.Value, y: ir.Value) -> ir.Value:
        """Builds the Reshape without the Transpose."""
        node = producer(y)
        return emit(op, self.op_type, x, *node.inputs[1:], **node.attributes)


def rules() -> list[RewriteRule]:
    """Returns the rules of this module."""
    return [
        SinkBelowSlice.rule(),
        SinkBelowPad.rule(),
        SinkBelowConcat.rule(),
        DropBeforeReshape.rule("Reshape"),
        DropBeforeReshape.rule("Flatten"),
    ]
