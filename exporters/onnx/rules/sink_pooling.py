"""Moves a channels-last-to-first Transpose below pooling, written as reductions over the map's axes.

ONNX's pooling operators know channels-first only, its reductions any layout:

1. GlobalAveragePool(T(x)), and AveragePool whose window is the whole map, = T(mean of x over its map).
2. ReduceMean(T(x), axes) = T(ReduceMean(x, moved axes)); without the Transpose if both map axes vanish.
3. MaxPool(T(x)) with stride = window (kh, kw) that divides the map: the rows are viewed as
   [N OH, kh, W C], whose maximum over axis 1 is viewed as [N OH OW, kw, C], whose maximum over axis 1 is
   the result.
   Both views are free, and each maximum runs along contiguous memory.
4. AveragePool(T(x)) likewise, with means: a mean of means of groups of one size. Its last bits may differ.
"""

import numpy as np
from onnxscript import ir
from onnxscript.rewriter.pattern import MatchResult, RewriteRule

from rbnn_deploy.exporters.onnx.rules.common import (
    MAP_AXES,
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    Match,
    SinkRule,
    channels_last_output,
    constant,
    constant_array,
    emit,
    emit_pattern,
    integer,
    ints,
    producer,
    static_shape,
    text,
)


def _pools_exact_tiles(node: ir.Node, size: tuple[int | str, ...]) -> str:
    """Returns why the windows do not tile the map exactly; empty if they do."""
    kernel = ints(node, "kernel_shape")
    if ints(node, "strides", (1,) * len(kernel)) != kernel:
        return "the stride is not the window"
    if any(ints(node, "pads")) or text(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return "the map is padded"
    if any(d != 1 for d in ints(node, "dilations")):
        return "the window is dilated"
    if not all(isinstance(extent, int) and extent % k == 0 for extent, k in zip(size, kernel, strict=True)):
        return "the window does not divide the map"
    return ""


def _check_tiles(node: ir.Node) -> MatchResult:
    shape = static_shape(node.inputs[0])
    if shape is None or not all(isinstance(extent, int) for extent in shape[1:]):
        return MatchResult().fail("the map's size is not known")
    reason = _pools_exact_tiles(node, shape[2:])
    return MatchResult().fail(reason) if reason else MatchResult()


def _reduce_tiles(op: Match, op_type: str, x: ir.Value, node: ir.Node) -> ir.Value:
    """Builds rules 3 and 4: reduces every window of the pooling `node`, first its rows, then its columns."""
    shape = static_shape(node.inputs[0])
    assert shape is not None
    _, channels, height, width = (d if isinstance(d, int) else -1 for d in shape)
    kh, kw = ints(node, "kernel_shape")
    one = constant(op, np.array([1], np.int64))

    def view(value: ir.Value, *sizes: int) -> ir.Value:
        return emit(op, "Reshape", value, constant(op, np.array(sizes, np.int64)))

    rows = emit(op, op_type, view(x, -1, kh, width * channels), one, keepdims=0)
    columns = emit(op, op_type, view(rows, -1, kw, channels), one, keepdims=0)
    return view(columns, -1, height // kh, width // kw, channels)


class SinkBelowAveragePool(SinkRule):
    """Rules 1 and 4."""

    def __init__(self, op_type: str) -> None:
        super().__init__(f"SinkBelow{op_type}")
        self.op_type = op_type

    def pattern(self, op: Match, x: ir.Value) -> ir.Value:
        """Matches the pooling of a transposed value."""
        return emit_pattern(op, self.op_type, [op.Transpose(x, perm=list(TO_CHANNELS_FIRST))], outputs=["y"])

    def check(self, context: Match, x: ir.Value, y: ir.Value) -> MatchResult:
        """Requires windows that tile a map of known size."""
        return MatchResult() if self.op_type == "GlobalAveragePool" else _check_tiles(producer(y))

    def rewrite(self, op: Match, x: ir.Value, y: ir.Value) -> ir.Value:
        """Builds the mean over the map, or two means over free views."""
        shape = static_shape(producer(y).inputs[0])
        if (
            shape is not None
            and self.op_type == "AveragePool"
            and shape[2:] != ints(producer(y), "kernel_shape")
        ):
            return channels_last_output(op, _reduce_tiles(op, "ReduceMean", x, producer(y)), like=y)
        axes = constant(op, np.array(MAP_AXES, np.int64))
        return channels_last_output(op, op.ReduceMean(x, axes, keepdims=1), like=y)


class SinkBelowReduceMean(SinkRule):
    """Rule 2."""

    def pattern(self, op: Match, x: ir.Value, axes: ir.Value) -> ir.Value:
        """Matches a ReduceMean that names its axes."""
        value: ir.Value = op.ReduceMean(
            op.Transpose(x, perm=list(TO_CHANNELS_FIRST)), axes, _allow_other_attributes=True, _outputs=["y"]
        )
        return value

    def check(self, context: Match, x: ir.Value, axes: ir.Value, y: ir.Value) -> MatchResult:
        """Requires constant axes, kept, or else exactly the map's."""
        array = constant_array(axes)
        if array is None:
            return MatchResult().fail("axes not constant")
        if not integer(producer(y), "keepdims", 1) and sorted(int(a) % 4 for a in array) != [2, 3]:
            return MatchResult().fail("the remaining axes would need a Transpose of another rank")
        return MatchResult()

    def rewrite(self, op: Match, x: ir.Value, axes: ir.Value, y: ir.Value) -> ir.Value:
        """Builds the mean over the moved axes."""
        array = constant_array(axes)
        assert array is not None
        moved = constant(op, np.array(sorted(TO_CHANNELS_LAST.index(int(a) % 4) for a in array), np.int64))
        keepdims = integer(producer(y), "keepdims", 1)
        result = emit(op, "ReduceMean", x, moved, keepdims=keepdims)
        return channels_last_output(op, result, like=y) if keepdims else result


class SinkBelowMaxPool(SinkRule):
    """Rule 3."""

    def pattern(self, op: Match, x: ir.Value) -> ir.Value:
        """Matches MaxPool of a transposed value, values only."""
        return emit_pattern(op, "MaxPool", [op.Transpose(x, perm=list(TO_CHANNELS_FIRST))], outputs=["y"])

    def check(self, context: Match, x: ir.Value, y: ir.Value) -> MatchResult:
        """Requires windows that tile a map of known size."""
        return _check_tiles(producer(y))

    def rewrite(self, op: Match, x: ir.Value, y: ir.Value) -> ir.Value:
        """Builds two maxima over free views."""
        return channels_last_output(op, _reduce_tiles(op, "ReduceMax", x, producer(y)), like=y)


def rules() -> list[RewriteRule]:
    """Returns the rules of this module."""
    return [
        SinkBelowAveragePool.rule("GlobalAveragePool"),
        SinkBelowAveragePool.rule("AveragePool"),
        SinkBelowReduceMean.rule(),
        SinkBelowMaxPool.rule(),
    ]
