"""Writes means over windows as sums in a fixed order, of operators that round once.

1. AveragePool: the strided slices of the padded map, one per tap, are added row by row, in each row by
   ascending column, and the sum is divided by the number of taps, or of those inside the map.
2. A mean over whole axes, such as those of a map, of sizes that are known: along each axis halves are added,
   then halves of the sums; an odd last element waits for the end. The sum is divided by the number of
   elements.

A mean in front of a float layer is part of its QuantConv2d; these are the others.
"""

import math

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    MAP_RANK,
    Writer,
    constant_array,
    integer,
    ints,
    map_size,
    operand,
    remove,
    replace,
    shape_of,
)
from rbnn_deploy.exporters.onnx.layout.handlers.pooling import has_plain_windows
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass

_FIRST_AXIS = 2  # of the map's two
_WHOLE = ("GlobalAveragePool", "ReduceMean")


class ExactMeans(ExplainedPass):
    """Writes AveragePool, and means over whole axes, as sums in a fixed order.

    Precondition: the graph is channels-first.
    """

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for node in [node for node in graph if node.op_type in (*_WHOLE, "AveragePool") and not node.domain]:
            refusal = _pool_refusal(node) if node.op_type == "AveragePool" else _whole_refusal(node)
            if refusal:
                self.note(node, f"its mean has no fixed order, because {refusal}", done=False)
                continue
            (_write_whole if _is_whole(node) else _write_pool)(node)
            self.note(node, "a mean in a fixed order")
            modified = True
        return modified


def _is_whole(node: ir.Node) -> bool:
    if node.op_type in _WHOLE:
        return True
    size = map_size(node.inputs[0])
    return size is not None and size[1:] == ints(node, "kernel_shape") and not any(ints(node, "pads"))


def _pool_refusal(node: ir.Node) -> str:
    if len(ints(node, "kernel_shape")) != MAP_RANK - _FIRST_AXIS:
        return "it is no mean over a map"
    if integer(node, "ceil_mode", 0) or not has_plain_windows(node):
        return "it rounds the map's size up, pads by a rule, or dilates"
    counts_inside = any(ints(node, "pads")) and not integer(node, "count_include_pad", 0)
    return "the map's size is not known" if counts_inside and map_size(node.inputs[0]) is None else ""


def _whole_refusal(node: ir.Node) -> str:
    axes, shape = _axes(node), shape_of(node.inputs[0])
    if axes is None:
        return "its axes are not known"
    if shape is None or not all(isinstance(shape[axis], int) for axis in axes):
        return "the size of what it reads is not known"
    return ""


def _axes(node: ir.Node) -> list[int] | None:
    """Returns the axes of a mean over whole axes; None where they are not known."""
    shape = shape_of(node.inputs[0])
    if node.op_type != "ReduceMean":
        return [_FIRST_AXIS, _FIRST_AXIS + 1]
    axes = constant_array(operand(node, 1))
    return None if axes is None or shape is None else sorted(int(axis) % len(shape) for axis in axes.ravel())


class _Sums:
    """Adds the nodes of one mean.

    Args:
        node: The mean, before which they stand.
    """

    def __init__(self, node: ir.Node) -> None:
        self._writer = Writer(node)
        self._type = node.outputs[0].type

    def value(self, op_type: str, *inputs: ir.Value, shape: list[int | ir.SymbolicDim]) -> ir.Value:
        y = self._writer.node(op_type, *inputs)
        y.shape, y.type = ir.Shape(shape), self._type
        return y

    def sliced(
        self, x: ir.Value, begin: list[int], end: list[int], steps: list[int], axes: list[int]
    ) -> ir.Value:
        assert x.shape is not None
        shape = list(x.shape)
        for axis, first, last, step in zip(axes, begin, end, steps, strict=True):
            shape[axis] = (last - first + step - 1) // step
        return self.value("Slice", x, *map(self.integers, (begin, end, axes, steps)), shape=shape)

    def integers(self, values: list[int]) -> ir.Value:
        return self._writer.constant(values, np.int64)

    def added(self, left: ir.Value, right: ir.Value) -> ir.Value:
        assert left.shape is not None
        return self.value("Add", left, right, shape=list(left.shape))

    def divided(self, node: ir.Node, total: ir.Value, divisor: npt.NDArray[np.float32]) -> ir.Value:
        """Divides a sum, whose axes are those of the mean."""
        mean = self._writer.node("Div", total, self._writer.constant(divisor), name=node.name)
        mean.shape, mean.type = total.shape, self._type
        return mean

    def squeezed(self, node: ir.Node, mean: ir.Value, axes: list[int]) -> ir.Value:
        """Drops axes of one element."""
        return self._writer.node("Squeeze", mean, self.integers(axes), like=node.outputs[0])


def _finish(node: ir.Node, y: ir.Value) -> None:
    replace(node.outputs[0], y)
    remove([node])


def _write_pool(node: ir.Node) -> None:
    x, sums, result = node.inputs[0], _Sums(node), node.outputs[0]
    assert x is not None
    assert x.shape is not None
    kernel, pads = ints(node, "kernel_shape"), ints(node, "pads", (0, 0, 0, 0))
    strides = ints(node, "strides", (1, 1))
    size = map_size(x)
    if any(pads):
        shape = list(x.shape)
        for axis in (0, 1):
            extent = shape[_FIRST_AXIS + axis]
            shape[_FIRST_AXIS + axis] = (
                extent + pads[axis] + pads[axis + 2] if isinstance(extent, int) else ir.SymbolicDim(None)
            )
        widths = [0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]]
        x = sums.value("Pad", x, sums.integers(widths), shape=shape)
    total: ir.Value | None = None
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            tap = _tap(sums, x, (i, j), kernel, strides)
            if result.shape is not None:
                tap.shape = result.shape
            total = tap if total is None else sums.added(total, tap)
    assert total is not None
    taps: npt.NDArray[np.float32] = np.array(kernel[0] * kernel[1], np.float32)
    if any(pads) and not integer(node, "count_include_pad", 0):
        assert size is not None
        inside = [
            _inside(extent, kernel[axis], strides[axis], (pads[axis], pads[axis + 2]))
            for axis, extent in enumerate(size[1:])
        ]
        taps = np.outer(*inside).astype(np.float32)
    _finish(node, sums.divided(node, total, taps))


def _tap(
    sums: _Sums, x: ir.Value, tap: tuple[int, int], kernel: tuple[int, ...], strides: tuple[int, ...]
) -> ir.Value:
    """Returns the elements of all windows at one place of the window."""
    # Counted from the end where the map's size is not known.
    axes = [_FIRST_AXIS, _FIRST_AXIS + 1]
    ends = [place - extent + 1 for place, extent in zip(tap, kernel, strict=True)]
    far = np.iinfo(np.int64).max
    arrays = (list(tap), [end or far for end in ends], axes, list(strides))
    return sums.value("Slice", x, *map(sums.integers, arrays), shape=list(x.shape or ()))


def _inside(extent: int, taps: int, stride: int, pads: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Counts the taps of each window that are inside the map, along one axis."""
    begins = np.arange((extent + sum(pads) - taps) // stride + 1) * stride - pads[0]
    return np.asarray(np.minimum(begins + taps, extent) - np.maximum(begins, 0))


def _write_whole(node: ir.Node) -> None:
    x, sums, shape = node.inputs[0], _Sums(node), shape_of(node.inputs[0])
    axes = [_FIRST_AXIS, _FIRST_AXIS + 1] if node.op_type == "AveragePool" else _axes(node)
    assert x is not None
    assert shape is not None
    assert axes is not None
    extents = [int(shape[axis]) for axis in axes]
    for axis, extent in zip(axes, extents, strict=True):
        x = _sum_along(sums, x, axis, extent)
    mean = sums.divided(node, x, np.array(math.prod(extents), np.float32))
    drops = node.op_type == "ReduceMean" and not integer(node, "keepdims", 1)
    _finish(node, sums.squeezed(node, mean, axes) if drops else mean)


def _sum_along(sums: _Sums, x: ir.Value, axis: int, extent: int) -> ir.Value:
    """Adds all elements along one axis by halves; the axis stays, with one element."""
    waiting: list[ir.Value] = []
    while extent > 1:
        half = extent // 2
        if extent % 2:
            waiting.append(sums.sliced(x, [extent - 1], [extent], [1], [axis]))
        first, second = (sums.sliced(x, [k * half], [(k + 1) * half], [1], [axis]) for k in (0, 1))
        x, extent = sums.added(first, second), half
    for rest in waiting:
        x = sums.added(x, rest)
    return x
