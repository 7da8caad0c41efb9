"""What the rewrite rules share: layouts, constants, shapes."""

from typing import Any

import numpy as np
import numpy.typing as npt
from onnxscript import ir
from onnxscript.rewriter.pattern import RewriteRuleClassBase

TO_CHANNELS_LAST = (0, 2, 3, 1)  # perm of a Transpose from NCHW to NHWC
MAP_AXES = (1, 2)  # height and width of a channels-last tensor
TO_CHANNELS_FIRST = (0, 3, 1, 2)  # and back; also: the NHWC axis at which each NCHW axis stands

Match = Any  # onnxscript's pattern builder and rewriter context; both build nodes by attribute access


class SinkRule(RewriteRuleClassBase):
    """A rule that moves a Transpose below a node; the Transpose stays for its other users, if it has any."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name, remove_nodes=False)


def is_channels_first_transpose(value: ir.Value) -> bool:
    """Tells whether a value is the output of an NHWC-to-NCHW Transpose."""
    node = value.producer()
    return node is not None and node.op_type == "Transpose" and ints(node, "perm") == TO_CHANNELS_FIRST


def ints(node: ir.Node, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Returns a list attribute of integers."""
    attribute = node.attributes.get(name)
    return default if attribute is None else tuple(attribute.as_ints())


def text(node: ir.Node, name: str, default: str = "") -> str:
    """Returns a string attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def integer(node: ir.Node, name: str, default: int) -> int:
    """Returns an integer attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def constant_array(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """Returns the array behind a constant value; None where it is absent or not constant."""
    if value is None or value.is_graph_input():
        return None
    if value.const_value is None:
        node = value.producer()
        if node is None or node.op_type != "Constant" or "value" not in node.attributes:
            return None
        return node.attributes["value"].as_tensor().numpy()
    return value.const_value.numpy()


def producer(value: ir.Value) -> ir.Node:
    """Returns the node that computes a matched value."""
    node = value.producer()
    if node is None:
        raise ValueError(f"{value.name} is not computed by a node")
    return node


def static_shape(value: ir.Value | None) -> tuple[int | str, ...] | None:
    """Returns a value's shape with open dimensions as their names, "" without one; None where unknown."""
    if value is None or value.shape is None:
        return None
    return tuple(d if isinstance(d, int) else d.value or "" for d in value.shape)


def same_shape(left: ir.Value, right: ir.Value) -> bool:
    """Tells whether two values are known to have equal shapes; dimensions without a name equal none."""
    shape = static_shape(left)
    return shape is not None and "" not in shape and shape == static_shape(right)


def emit(op: Match, op_type: str, *inputs: Any, **keywords: Any) -> ir.Value:
    """Adds a node whose operator is only known at run time."""
    value = getattr(op, op_type)(*inputs, **keywords)
    assert isinstance(value, ir.Value)
    return value


def emit_pattern(
    op: Match, op_type: str, inputs: list[ir.Value], outputs: list[str], others: bool = False
) -> ir.Value:
    """Adds a pattern node whose operator is only known at run time."""
    value: ir.Value = getattr(op, op_type)(*inputs, _allow_other_inputs=others, _outputs=outputs)
    return value


def constant(op: Match, array: npt.ArrayLike) -> ir.Value:
    """Adds a constant."""
    return emit(op, "Constant", value=ir.tensor(np.asarray(array)))


def channels_last_output(op: Match, result: ir.Value, like: ir.Value) -> ir.Value:
    """Ends a rewrite that moved a node behind its Transpose: result (NHWC) stands for `like` (NCHW)."""
    if like.shape is not None:
        result.shape = ir.Shape([like.shape[axis] for axis in TO_CHANNELS_LAST])
    result.type = like.type
    return emit(op, "Transpose", result, perm=TO_CHANNELS_FIRST)


def channels_last_operand(op: Match, value: ir.Value) -> ir.Value | None:
    """Gives a channels-last form of an operand that broadcasts against an NCHW tensor.

    Returns:
        A constant with its axes moved, a transposed rank-4 value, or None where the rank is neither
        known to be 4 nor constant.
    """
    array = constant_array(value)
    if array is not None:
        if array.size == 1:
            return value if array.ndim <= 1 else constant(op, array.reshape(()))
        aligned = array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(TO_CHANNELS_LAST)
        leading = next(i for i, size in enumerate(aligned.shape) if size != 1)
        return constant(op, np.ascontiguousarray(aligned.reshape(aligned.shape[leading:])))
    if value.shape is None or value.shape.rank() != 4:
        return None
    result = emit(op, "Transpose", value, perm=TO_CHANNELS_LAST)
    result.shape = ir.Shape([value.shape[axis] for axis in TO_CHANNELS_LAST])
    result.type = value.type
    return result
