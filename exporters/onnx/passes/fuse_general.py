"""Fuses what BinaryConv2d has no place for, and makes the layer a GeneralBinaryConv2d by that.

In front of a layer whose threshold is zero:

1. X = Add(x, b), or Sub(x, t), b and t per channel or single: threshold per_channel, T = -b or t. In IEEE
   arithmetic with subnormal numbers x + b is 0 only where x is -b, so x + b >= 0 is x >= -b to the bit.

Behind a layer without activation, in this order, each where it is the one reader:

2. PRelu(y, a), a per channel or single; LeakyRelu(y): activation prelu, neg = a. Or Where(y < 0, a, b) y,
   whose readers are two: neg = a, pos = b.
3. Mul(y, m), m per channel or single, behind 2 or a Relu: neg and pos times m, in float64 and rounded once. A
   Relu is neg = 0 and pos = 1.
4. Add(y, c), c per channel or single, behind 2, 3 or a Relu: post = c.

And behind any activation, if the layer has no residual:

5. Add(y, r), r another value of the output's own shape: R = r, added after the activation.
"""

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    TO_CHANNELS_LAST,
    Writer,
    constant_array,
    floating,
    integer,
    ints,
    only_reader,
    operand,
    producer,
    remove,
    same_shape,
    text,
)
from rbnn_deploy.exporters.onnx.passes.fuse_binary_conv import per_channel, residual_mismatch, take_over
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass
from rbnn_deploy.exporters.onnx.passes.two_slopes import find_two_slopes
from rbnn_deploy.exporters.onnx.plain import is_binary_conv
from rbnn_deploy.operators import (
    BINARY_CONV2D,
    DOMAIN,
    GENERAL_BINARY_CONV2D,
    GENERAL_BINARY_CONV2D_OPERATOR,
    GeneralBinaryConv2dAttributes,
)

_INDEX = {name: i for i, name in enumerate(GENERAL_BINARY_CONV2D_OPERATOR.input_names())}
_DEFAULTS = {field.name: field.default for field in GeneralBinaryConv2dAttributes.fields()}


class FuseGeneralBinaryConv(ExplainedPass):
    """Makes one node of each binary layer and of what surrounds it in other methods' networks.

    Precondition: `FuseBinaryConv` took up all that BinaryConv2d has a place for.
    """

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for conv in [node for node in graph if is_binary_conv(node)]:
            modified |= self._shift(conv)
            modified |= self._slope(conv) or self._two_slopes(conv)
            modified |= self._affine_behind(conv)
            modified |= self._late_residual(conv)
        return modified

    def _shift(self, conv: ir.Node) -> bool:
        moved = _own_transpose(conv.inputs[0])
        shift = producer(conv.inputs[0] if moved is None else moved.inputs[0])
        if shift is None or shift.domain or text(conv, "threshold") != "zero":
            return False
        threshold = _threshold(shift, integer(conv, "channels", 0), axis=3 if moved is None else 1)
        if threshold is None:
            return False
        values, source = threshold
        self.note(conv, f"fused: {shift.op_type} in front of its sign, as a threshold per channel")
        _general(conv)
        _set(conv, "threshold", "per_channel")
        if moved is None:
            conv.replace_input_with(0, source)
        else:
            moved.replace_input_with(0, source)
        conv.replace_input_with(_INDEX["T"], Writer(conv).constant(values))
        return True

    def _two_slopes(self, conv: ir.Node) -> bool:
        outputs, slopes = _outputs(conv), find_two_slopes(conv.outputs[0])
        if outputs is None or slopes is None or text(conv, "activation") != "none":
            return False
        below, above = (_row(value, outputs) for value in (slopes.below, slopes.above))
        if below is None or above is None:
            self.note(conv, "not fused: two slopes, because they are not constants", done=False)
            return False
        self.note(conv, "fused: two slopes")
        _general(conv)
        _set(conv, "activation", "prelu")
        for name, values in (("neg", below), ("pos", above)):
            conv.replace_input_with(_INDEX[name], Writer(conv).constant(values))
        product, choice = slopes.product, slopes.choice
        product.replace_input_with(list(product.inputs).index(choice.outputs[0]), None)
        remove([choice, slopes.less])
        take_over(conv, product)
        return True

    def _slope(self, conv: ir.Node) -> bool:
        reader = only_reader(conv.outputs[0])
        if reader is None or reader.domain or text(conv, "activation") != "none":
            return False
        outputs = _outputs(conv)
        if outputs is None or reader.inputs[0] is not conv.outputs[0]:
            return False
        if reader.op_type == "LeakyRelu":
            slopes: npt.NDArray[np.float32] | None = np.full(
                outputs, floating(reader, "alpha", 0.01), np.float32
            )
        elif reader.op_type == "PRelu":
            slopes = _row(reader.inputs[1], outputs)
        else:
            return False
        if slopes is None:
            self.note(conv, f"not fused: {reader.op_type}, because its slopes are not constants", done=False)
            return False
        self.note(conv, f"fused: {reader.op_type}")
        _general(conv)
        _set(conv, "activation", "prelu")
        conv.replace_input_with(_INDEX["neg"], Writer(conv).constant(slopes))
        take_over(conv, reader)
        return True

    def _affine_behind(self, conv: ir.Node) -> bool:
        """Takes up a Mul and an Add with constants; a BatchNorm behind the activation is both."""
        modified, outputs = False, _outputs(conv)
        if outputs is None or text(conv, "activation") not in ("relu", "prelu"):
            return False
        for kind in ("Mul", "Add"):
            reader = only_reader(conv.outputs[0])
            if reader is None or reader.domain or reader.op_type != kind:
                continue
            values = per_channel(_other(reader, conv.outputs[0]), outputs)
            slopes = _slopes_of(conv, outputs)
            if values is None or slopes is None:
                continue
            self.note(conv, f"fused: {kind} behind its activation")
            _general(conv)
            _set(conv, "activation", "prelu")
            if kind == "Mul":
                slopes = tuple(slope * values for slope in slopes)
            else:
                conv.replace_input_with(_INDEX["post"], Writer(conv).constant(values.astype(np.float32)))
            for name, slope in zip(("neg", "pos"), slopes, strict=True):
                if name == "neg" or not (slope == 1).all():
                    conv.replace_input_with(_INDEX[name], Writer(conv).constant(slope.astype(np.float32)))
            take_over(conv, reader)
            modified = True
        return modified

    def _late_residual(self, conv: ir.Node) -> bool:
        reader = only_reader(conv.outputs[0])
        if reader is None or reader.domain or reader.op_type != "Add" or text(conv, "activation") == "none":
            return False
        other = _other(reader, conv.outputs[0])
        if other is None or other is conv.outputs[0] or constant_array(other) is not None:
            return False
        if operand(conv, _INDEX["R"]) is not None:
            return False
        if not same_shape(other, conv.outputs[0]):
            reason = residual_mismatch(other, conv.outputs[0])
            self.note(conv, f"not fused: Add, because {reason}", done=False)
            return False
        self.note(conv, "fused: Add behind its activation, as a residual")
        _general(conv)
        _set(conv, "residual", "after_activation")
        conv.replace_input_with(_INDEX["R"], other)
        take_over(conv, reader)
        return True


def _own_transpose(value: ir.Value | None) -> ir.Node | None:
    """Returns the Transpose that makes a value channels-last for one reader, from what it alone reads."""
    node = producer(value)
    if value is None or node is None or node.op_type != "Transpose" or only_reader(value) is None:
        return None
    source = node.inputs[0]
    if ints(node, "perm") != TO_CHANNELS_LAST or source is None or only_reader(source) is None:
        return None
    return node


def _threshold(shift: ir.Node, channels: int, axis: int) -> tuple[npt.NDArray[np.float32], ir.Value] | None:
    """Returns the thresholds that a shift stands for, float32 [C], and the value that they compare with."""
    if shift.op_type not in ("Add", "Sub"):
        return None
    for index in (1, 0) if shift.op_type == "Add" else (1,):
        values, source = _row(shift.inputs[index], channels, axis), shift.inputs[1 - index]
        if values is not None and source is not None and np.isfinite(values).all():
            return (-values if shift.op_type == "Add" else values), source
    return None


def _row(value: ir.Value | None, channels: int, axis: int = 3) -> npt.NDArray[np.float32] | None:
    """Returns a float32 constant that differs along one axis of a map only, as [C]; else None."""
    values = per_channel(value, channels, axis)
    return None if values is None else values.astype(np.float32)


def _other(node: ir.Node, value: ir.Value) -> ir.Value | None:
    return node.inputs[1 - list(node.inputs).index(value)]


def _slopes_of(conv: ir.Node, outputs: int) -> tuple[npt.NDArray[np.float64], ...] | None:
    """Returns the slopes of negative and of other values, float64 [O] each; None where one is computed."""
    if text(conv, "activation") == "relu":
        return np.zeros(outputs), np.ones(outputs)
    slopes = []
    for name in ("neg", "pos"):
        value = operand(conv, _INDEX[name])
        slope = np.ones(1) if value is None else constant_array(value)
        if slope is None:
            return None
        slopes.append(np.broadcast_to(slope.astype(np.float64), (outputs,)))
    return tuple(slopes)


def _outputs(conv: ir.Node) -> int | None:
    scale = constant_array(operand(conv, _INDEX["scale"]))
    return None if scale is None else scale.size


def _general(conv: ir.Node) -> None:
    """Makes a layer a GeneralBinaryConv2d of the same meaning, with a place for every input."""
    conv.resize_inputs(len(_INDEX))
    if (conv.domain, conv.op_type) != (DOMAIN, BINARY_CONV2D):
        return
    conv.op_type = GENERAL_BINARY_CONV2D
    for name in ("residual", "pad_value"):
        conv.attributes[name] = ir.convenience.convert_attribute(name, _DEFAULTS[name])


def _set(conv: ir.Node, name: str, value: str) -> None:
    conv.attributes[name] = ir.AttrString(name, value)
