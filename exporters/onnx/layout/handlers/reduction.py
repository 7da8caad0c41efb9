"""Reductions, and views of maps of one pixel.

1. Reduce(T(x), axes) = T(Reduce(x, moved axes)) where the axes are kept. Where they vanish, what remains must
   stand in the same order in both layouts: then there is no Transpose at all.
2. GlobalAveragePool and GlobalMaxPool are the mean and the maximum over the map.
3. Reshape, Flatten and Squeeze of a map of 1 x 1 pixels: its values have the same order in both layouts.
"""

from functools import partial

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import MAP_AXES, MAP_RANK, constant_array, integer, operand, shape_of
from rbnn_deploy.exporters.onnx.layout.handler import Handler, Site, moved_axis, moved_order

REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceProd", "ReduceSum", "ReduceSumSquare",
)  # fmt: skip


def reduced_axes(node: ir.Node) -> list[int] | None:
    """Returns the axes that vanish or become 1; None where they are not known."""
    if node.op_type in ("ArgMax", "ArgMin"):
        return [integer(node, "axis", 0) % MAP_RANK]
    if "axes" in node.attributes:
        return None  # the form of older opsets, which no exporter of today writes
    axes = constant_array(operand(node, 1)) if operand(node, 1) is not None else np.zeros(0, np.int64)
    if axes is None:
        return None
    if axes.size == 0:
        return [] if integer(node, "noop_with_empty_axes", 0) else list(range(MAP_RANK))
    return sorted(int(axis) % MAP_RANK for axis in axes)


def _keeps_axes(node: ir.Node) -> bool:
    return integer(node, "keepdims", 1) == 1


def _reduction_refusal(node: ir.Node) -> str:
    axes = reduced_axes(node)
    if axes is None:
        return "the axes are not constant"
    rest = [axis for axis in range(MAP_RANK) if axis not in axes]
    return "" if _keeps_axes(node) or moved_order(rest) else "the remaining axes would need a Transpose"


def _reduction(site: Site) -> list[ir.Value]:
    axes = reduced_axes(site.node)
    assert axes is not None
    if site.node.op_type in ("ArgMax", "ArgMin"):
        return list(site.copy([site.map()], axis=moved_axis(axes[0])))
    moved = np.array(sorted(moved_axis(axis) for axis in axes), np.int64)
    return list(site.copy([site.map(), site.writer.constant(moved)]))


def _global_pool(site: Site, op_type: str) -> list[ir.Value]:
    axes = site.writer.constant(MAP_AXES, np.int64)
    return [site.writer.node(op_type, site.map(), axes, name=site.node.name, keepdims=1)]


def _view_refusal(node: ir.Node) -> str:
    shape = shape_of(node.inputs[0])
    if shape is None or shape[2:] != (1, 1):
        return "it mixes the axes of a map of more than one pixel"
    if node.op_type == "Flatten":
        axis = integer(node, "axis", 1)
        return "" if axis % MAP_RANK == 1 else "the channels do not go to the second axis"
    target = constant_array(operand(node, 1))
    if target is None:
        return "the target is not constant"
    # A zero copies the size of that axis, which differs between the layouts.
    if any(size == 0 for size in target[1:]) or integer(node, "allowzero", 0):
        return "the target shape copies an axis that moves"
    return ""


def _view(site: Site) -> list[ir.Value]:
    return list(site.copy([site.map(), *site.node.inputs[1:]]))


def _squeezed(node: ir.Node) -> npt.NDArray[np.int64] | None:
    return constant_array(operand(node, 1))


def _squeeze_refusal(node: ir.Node) -> str:
    axes = _squeezed(node)
    if axes is None:
        return "the axes are not constant"
    rest = [axis for axis in range(MAP_RANK) if axis not in [int(a) % MAP_RANK for a in axes]]
    return "" if moved_order(rest) else "the remaining axes would need a Transpose"


def _squeeze(site: Site) -> list[ir.Value]:
    axes = _squeezed(site.node)
    assert axes is not None
    moved = site.writer.constant([moved_axis(int(axis)) for axis in axes], np.int64)
    return list(site.copy([site.map(), moved]))


def _no_layout(node: ir.Node) -> bool:
    return False


_REDUCTION = Handler(_reduction, _reduction_refusal, _keeps_axes)
_VIEW = Handler(_view, _view_refusal, _no_layout)
HANDLERS = {
    **dict.fromkeys((*REDUCTIONS, "ArgMax", "ArgMin"), _REDUCTION),
    "GlobalAveragePool": Handler(partial(_global_pool, op_type="ReduceMean")),
    "GlobalMaxPool": Handler(partial(_global_pool, op_type="ReduceMax")),
    "Flatten": _VIEW,
    "Reshape": _VIEW,
    "Squeeze": Handler(_squeeze, _squeeze_refusal, _no_layout),
}
