"""Operators that select, join or repeat along axes: their axes, and what they say per axis, are moved.

With p(a) the NHWC axis at which the NCHW axis a stands, Slice(T(x), ..., axes) = T(Slice(x, ..., p(axes))),
and likewise for the others. Each has one function below, named after it.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    MAP_RANK,
    TO_CHANNELS_LAST,
    constant_array,
    integer,
    ints,
    is_map,
    operand,
    text,
)
from rbnn_deploy.exporters.onnx.layout.handler import Handler, Site, moved_axis

_LAST = list(TO_CHANNELS_LAST)


def _axes(node: ir.Node, index: int, count: int) -> npt.NDArray[np.int64] | None:
    """Returns the axes that an optional input names, by default the first `count`; None if not constant."""
    if operand(node, index) is None:
        return np.arange(count, dtype=np.int64)
    return constant_array(operand(node, index))


def _moved(axes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.array([moved_axis(int(axis)) for axis in axes.reshape(-1)], np.int64)


def _constant(index: int, size: int | None, name: str) -> Callable[[ir.Node], str]:
    def refusal(node: ir.Node) -> str:
        array = constant_array(operand(node, index))
        if array is None:
            return f"the {name} are not constant"
        return f"there are {array.size} {name}, not {size}" if size is not None and array.size != size else ""

    return refusal


def _concat_refusal(node: ir.Node) -> str:
    return "" if all(is_map(value) for value in node.inputs) else "an operand is not a computed map"


def _concat(site: Site) -> list[ir.Value]:
    maps = [site.map(index) for index in range(len(site.node.inputs))]
    return list(site.copy(maps, axis=moved_axis(integer(site.node, "axis", 0))))


def _split(site: Site) -> list[ir.Value]:
    axis = moved_axis(integer(site.node, "axis", 0))
    return list(site.copy([site.map(), *site.node.inputs[1:]], axis=axis))


def _slice_refusal(node: ir.Node) -> str:
    starts = constant_array(operand(node, 1))
    if operand(node, 3) is None and starts is None:
        return "the axes are not constant"
    return "" if _axes(node, 3, 0) is not None else "the axes are not constant"


def _slice(site: Site) -> list[ir.Value]:
    starts = constant_array(operand(site.node, 1))
    axes = _axes(site.node, 3, 0 if starts is None else starts.size)
    assert axes is not None
    moved = site.writer.constant(_moved(axes))
    return list(site.copy([site.map(), *site.node.inputs[1:3], moved, *site.node.inputs[4:]]))


def _pad_refusal(node: ir.Node) -> str:
    pads, axes = constant_array(operand(node, 1)), _axes(node, 3, MAP_RANK)
    if pads is None or axes is None:
        return "the pads or their axes are not constant"
    return "" if pads.size == 2 * axes.size else "the pads do not fit their axes"


def _pad(site: Site) -> list[ir.Value]:
    pads, axes = constant_array(operand(site.node, 1)), _axes(site.node, 3, MAP_RANK)
    assert pads is not None
    assert axes is not None
    moved = np.zeros((2, MAP_RANK), np.int64)
    moved[:, _moved(axes)] = pads.reshape(2, -1)
    return list(site.copy([site.map(), site.writer.constant(moved.reshape(-1)), *site.node.inputs[2:3]]))


def _resize_refusal(node: ir.Node) -> str:
    if text(node, "mode", "nearest") == "cubic":
        return "ONNX Runtime resizes with cubic interpolation channels-first only"
    given = [constant_array(operand(node, index)) for index in (2, 3) if operand(node, index) is not None]
    given = [array for array in given if array is None or array.size]
    if any(array is None for array in given):
        return "the new size is not constant"
    axes = ints(node, "axes", tuple(range(MAP_RANK)))
    if any(array is not None and array.size != len(axes) for array in given):
        return "the new size does not fit its axes"
    roi = constant_array(operand(node, 1))
    return "it resizes a part of the map" if roi is not None and roi.size else ""


def _resize(site: Site) -> list[ir.Value]:
    inputs: list[ir.Value | None] = [site.map(), *site.node.inputs[1:]]
    axes = ints(site.node, "axes")
    if axes:
        return list(site.copy(inputs, axes=[moved_axis(axis) for axis in axes]))
    for index in (2, 3):
        array = constant_array(operand(site.node, index))
        if array is not None and array.size:
            inputs[index] = site.writer.constant(array[_LAST])
    return list(site.copy(inputs))


def _per_axis(site: Site) -> list[ir.Value]:
    array = constant_array(operand(site.node, 1))
    assert array is not None
    return list(site.copy([site.map(), site.writer.constant(array[_LAST])]))


def _gather_refusal(node: ir.Node) -> str:
    indices = constant_array(operand(node, 1))
    return "" if indices is not None and indices.ndim == 1 else "the indices are not a constant list"


def _gather(site: Site) -> list[ir.Value]:
    axis = moved_axis(integer(site.node, "axis", 0))
    return list(site.copy([site.map(), *site.node.inputs[1:]], axis=axis))


def _cumsum(site: Site) -> list[ir.Value]:
    axis = constant_array(operand(site.node, 1))
    assert axis is not None
    moved = site.writer.constant(_moved(axis).reshape(axis.shape))
    return list(site.copy([site.map(), moved]))


def _softmax(site: Site) -> list[ir.Value]:
    return list(site.copy([site.map()], axis=moved_axis(integer(site.node, "axis", -1))))


HANDLERS = {
    "Concat": Handler(_concat, _concat_refusal),
    "CumSum": Handler(_cumsum, _constant(1, 1, "axes")),
    "Expand": Handler(_per_axis, _constant(1, MAP_RANK, "sizes")),
    "Gather": Handler(_gather, _gather_refusal),
    "Hardmax": Handler(_softmax),
    "LogSoftmax": Handler(_softmax),
    "Pad": Handler(_pad, _pad_refusal),
    "Resize": Handler(_resize, _resize_refusal),
    "Slice": Handler(_slice, _slice_refusal),
    "Softmax": Handler(_softmax),
    "Split": Handler(_split),
    "Tile": Handler(_per_axis, _constant(1, MAP_RANK, "repeats")),
}
