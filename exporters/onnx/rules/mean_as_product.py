"""Writes the mean over a small channels-last map as a matrix product.

With P = H W pixels, x viewed as [N, P, C] and o the row [1, P] of elements 1 / P:

    ReduceMean(x, map) = o x, viewed as [N, 1, 1, C].

A product runs through ONNX Runtime's vectorised multiplication; its reduction over two axes in front of the
last one does not. The sum's order differs, so last bits may: x is float, and no threshold follows.
"""

import numpy as np
from onnxscript import ir
from onnxscript.rewriter.pattern import MatchResult, RewriteRule, RewriteRuleClassBase

from rbnn_deploy.exporters.onnx.rules.common import (
    MAP_AXES,
    Match,
    constant,
    constant_array,
    emit,
    integer,
    producer,
    static_shape,
)

LARGEST_MAP = 256  # pixels; beyond, float32 rounding of 1 / P and of the sum would add up


class MeanAsProduct(RewriteRuleClassBase):
    """The one rule of this module."""

    def pattern(self, op: Match, x: ir.Value, axes: ir.Value) -> ir.Value:
        """Matches a ReduceMean that names its axes."""
        value: ir.Value = op.ReduceMean(x, axes, _allow_other_attributes=True, _outputs=["y"])
        return value

    def check(self, context: Match, x: ir.Value, axes: ir.Value, y: ir.Value) -> MatchResult:
        """Requires a small map of known size, and its two axes kept."""
        array, shape = constant_array(axes), static_shape(x)
        if array is None or sorted(int(axis) % 4 for axis in array) != list(MAP_AXES):
            return MatchResult().fail("the axes are not those of the map")
        if integer(producer(y), "keepdims", 1) != 1:
            return MatchResult().fail("the axes are not kept")
        if shape is None or len(shape) != 4 or not all(isinstance(size, int) for size in shape[1:]):
            return MatchResult().fail("the map's size is not known")
        if int(shape[1]) * int(shape[2]) > LARGEST_MAP:
            return MatchResult().fail("the map is large")
        return MatchResult()

    def rewrite(self, op: Match, x: ir.Value, axes: ir.Value, y: ir.Value) -> ir.Value:
        """Builds the product between two views."""
        shape = static_shape(x)
        assert shape is not None
        pixels, channels = int(shape[1]) * int(shape[2]), int(shape[3])
        view = emit(op, "Reshape", x, constant(op, np.array([-1, pixels, channels], np.int64)))
        mean = emit(op, "MatMul", constant(op, np.full((1, pixels), 1 / pixels, np.float32)), view)
        return emit(op, "Reshape", mean, constant(op, np.array([-1, 1, 1, channels], np.int64)))


def rules() -> list[RewriteRule]:
    """Returns the rule of this module."""
    return [MeanAsProduct.rule()]
