"""Fuses what follows a layer into it: y = act(acc * scale + bias + R).

Each layer takes up the one node that reads it, again and again, until one does not fit:

1. Mul(y, m), m per channel or single, without R: scale m, bias m, and so what else is added.
2. Add(y, a), a per channel or single: bias + a. Each composed in float64 and rounded once.
3. Add(y, r), r another value of the output's own shape, without R: R = r.
4. Clip(y, -1, 1): activation hardtanh. Relu(y), or Clip(y, 0): activation relu. Nothing follows it.

And at the end, in front of it:

5. R = Add(r, a), a per channel, which nobody else reads: R = r and bias + a, one pass over the residual less.

A layer is a BinaryConv2d, or a QuantConv2d, whose own max pool ends it.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.exporters.onnx.graph import (
    Writer,
    constant_array,
    ints,
    only_reader,
    operand,
    remove,
    replace,
    same_shape,
    shape_of,
    text,
)
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass
from rbnn_deploy.exporters.onnx.plain import is_binary_conv, is_quant_conv
from rbnn_deploy.operators import (
    BINARY_CONV2D_OPERATOR,
    BOUNDS,
    GENERAL_BINARY_CONV2D,
    GENERAL_BINARY_CONV2D_OPERATOR,
    OPERATORS,
    Activation,
    activation_between,
)

SCALE, BIAS, RESIDUAL = map(BINARY_CONV2D_OPERATOR.index, ("scale", "bias", "R"))  # of binary layers
# What GeneralBinaryConv2d adds beside its bias.
WINDOW_TERMS = tuple(map(GENERAL_BINARY_CONV2D_OPERATOR.index, ("window_sum", "border")))
MAP_RANK = 4


def per_channel(
    value: ir.Value | None, outputs: int, axis: int = MAP_RANK - 1
) -> npt.NDArray[np.float64] | None:
    """Returns a constant that broadcasts along all axes of a map but one, as [O]; else None."""
    array = constant_array(value)
    if array is None or array.ndim > MAP_RANK or array.dtype != np.float32:
        return None
    shape = (1,) * (MAP_RANK - array.ndim) + array.shape
    if any(size != 1 for i, size in enumerate(shape) if i != axis) or shape[axis] not in (1, outputs):
        return None
    return np.broadcast_to(array.reshape(-1), (outputs,)).astype(np.float64)


def _index(node: ir.Node, name: str) -> int:
    """Returns the position of an input of a layer of ours."""
    return OPERATORS[node.op_type].index(name)


def _affine(node: ir.Node) -> ChannelAffine | None:
    scale, bias = (constant_array(operand(node, _index(node, name))) for name in ("scale", "bias"))
    return None if scale is None or bias is None else ChannelAffine(scale.astype(float), bias.astype(float))


def _set_affine(node: ir.Node, affine: ChannelAffine) -> None:
    for name, array in zip(("scale", "bias"), affine.rounded(), strict=True):
        node.replace_input_with(_index(node, name), Writer(node).constant(array))


def _residual(node: ir.Node) -> ir.Value | None:
    return operand(node, _index(node, "R"))


def activation_of(node: ir.Node) -> Activation | None:
    """Returns the activation that a Clip or Relu is; None for other bounds."""
    if node.op_type == "Relu":
        return "relu"
    bounds = []
    for index, absent in zip((1, 2), BOUNDS["none"], strict=True):
        bound = constant_array(operand(node, index))
        if bound is None and operand(node, index) is not None:
            return None  # it is computed
        bounds.append(absent if bound is None else float(bound.reshape(())))
    return activation_between(*bounds)


class FuseBinaryConv(ExplainedPass):
    """Makes one node of each layer of ours.

    Precondition: these layers are channels-last.
    """

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for conv in [node for node in graph if is_binary_conv(node) or is_quant_conv(node)]:
            while (reader := only_reader(conv.outputs[0])) is not None and reader.graph is graph:
                step = _STEPS.get(reader.op_type) if reader.domain == "" else None
                if step is None:
                    break
                refusal = step(conv, reader)
                if refusal:
                    self.note(conv, f"not fused: {reader.op_type}, because {refusal}", done=False)
                    break
                self.note(conv, f"fused: {reader.op_type}")
                modified = True
            modified |= self._take_offset_of_residual(conv)
        return modified

    def _take_offset_of_residual(self, conv: ir.Node) -> bool:
        residual = _residual(conv)
        add, affine = None if residual is None else residual.producer(), _affine(conv)
        if residual is None or add is None or add.op_type != "Add" or affine is None:
            return False
        if only_reader(residual) is None:
            return False
        for index in (0, 1):
            offset, rest = per_channel(operand(add, index), affine.offset.size), operand(add, 1 - index)
            if offset is not None and rest is not None and same_shape(rest, residual):
                conv.replace_input_with(_index(conv, "R"), rest)
                _set_affine(conv, ChannelAffine(affine.multiplier, affine.offset + offset))
                remove([add])
                self.note(conv, "fused: the constant that is added to the residual")
                return True
        return False


def take_over(conv: ir.Node, reader: ir.Node) -> None:
    """Lets the layer's output stand for its reader's, and moves the layer behind what the reader reads."""
    output, result = conv.outputs[0], reader.outputs[0]
    graph = conv.graph
    assert graph is not None
    graph.remove(conv)
    graph.insert_before(reader, conv)
    for index, value in enumerate(reader.inputs):
        if value is output:
            reader.replace_input_with(index, None)
    output.shape = result.shape if result.shape is not None else output.shape
    replace(result, output)
    remove([reader])


def residual_mismatch(residual: ir.Value, output: ir.Value) -> str:
    """Says in a clause why a value is no residual of an output."""
    return f"the residual's shape {shape_of(residual)} is not known to be the output's {shape_of(output)}"


def _mul(conv: ir.Node, reader: ir.Node) -> str:
    return _compose(conv, reader, lambda factor: ChannelAffine(factor, np.zeros_like(factor)))


def _add(conv: ir.Node, reader: ir.Node) -> str:
    other = reader.inputs[1 - list(reader.inputs).index(conv.outputs[0])]
    if constant_array(other) is not None:
        return _compose(conv, reader, lambda offset: ChannelAffine(np.ones_like(offset), offset))
    if other is None or other is conv.outputs[0]:
        return "the residual is the layer's own output"
    if _residual(conv) is not None:
        return "it has a residual already"
    if not same_shape(other, conv.outputs[0]):
        return residual_mismatch(other, conv.outputs[0])
    index = _index(conv, "R")
    if len(conv.inputs) <= index:
        conv.resize_inputs(index + 1)
    conv.replace_input_with(index, other)
    take_over(conv, reader)
    return ""


def _compose(
    conv: ir.Node, reader: ir.Node, outer: Callable[[npt.NDArray[np.float64]], ChannelAffine]
) -> str:
    """Composes scale and bias with a map per channel."""
    affine = _affine(conv)
    if affine is None:
        return "the layer's scale or bias is not constant"
    other = reader.inputs[1 - list(reader.inputs).index(conv.outputs[0])]
    values = per_channel(other, affine.multiplier.size)
    if values is None:
        return "the other operand is not a constant per channel"
    if reader.op_type == "Mul" and _residual(conv) is not None:
        return "it would scale the residual too"
    _set_affine(conv, outer(values).after(affine))
    if reader.op_type == "Mul" and conv.op_type == GENERAL_BINARY_CONV2D:
        for index in WINDOW_TERMS:
            if (term := constant_array(operand(conv, index))) is not None:
                conv.replace_input_with(index, Writer(conv).constant((term * values).astype(np.float32)))
    take_over(conv, reader)
    return ""


def _activate(conv: ir.Node, reader: ir.Node) -> str:
    if reader.inputs[0] is not conv.outputs[0]:
        return "the layer's output is a bound"
    activation = activation_of(reader)
    if activation is None:
        return "its bounds are neither hardtanh's nor relu's"
    conv.attributes["activation"] = ir.AttrString("activation", activation)
    take_over(conv, reader)
    return ""


def _unless_ended(step: Callable[[ir.Node, ir.Node], str]) -> Callable[[ir.Node, ir.Node], str]:
    def checked(conv: ir.Node, reader: ir.Node) -> str:
        activation = text(conv, "activation", "none")
        if any(size != 1 for name in ("pool_kernel", "pool_strides") for size in ints(conv, name)):
            return "the layer ends with its max pool"
        return f"the layer ends with its {activation}" if activation != "none" else step(conv, reader)

    return checked


_STEPS = {
    "Mul": _unless_ended(_mul),
    "Add": _unless_ended(_add),
    "Clip": _unless_ended(_activate),
    "Relu": _unless_ended(_activate),
}
