"""One plain binary convolution as QONNX: BipolarQuant on both sides of a Conv.

    s = BipolarQuant(X, 1)                 +1 where X >= 0, else -1, as our sign has it
    b = BipolarQuant(W, 1)                 [O, C / groups, KH, KW]
    y = Conv(s, b) * scale + bias          the sum is an exact integer; each further step is rounded once

Both scales are 1, so that Conv sums whole numbers, which are exact in any order. Its zero padding counts 0,
as a padded tap does in docs/ops/BinaryConv2d.md. The mean of a sample is subtracted in front of the sign:

    t = float32(ReduceMean(float64(X)));   X - t >= 0 is X >= t for finite numbers: a difference of two floats
                                           is 0 only where they are equal
"""

import numpy as np
from onnxscript import ir

from rbnn_deploy.bits import unpack_signs
from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.graph import Writer, constant_array, operand, replace
from rbnn_deploy.exporters.onnx.plain import binary_conv_attributes, is_plain_binary_conv
from rbnn_deploy.exporters.qonnx.domain import BIPOLAR_QUANT, QONNX_DOMAIN
from rbnn_deploy.operators import BINARY_CONV2D_OPERATOR, BinaryConv2dAttributes
from rbnn_deploy.text import printable

FLOAT, DOUBLE = ir.DataType.FLOAT, ir.DataType.DOUBLE
SAMPLE_AXES = (1, 2, 3)
_INDEX = {name: i for i, name in enumerate(BINARY_CONV2D_OPERATOR.input_names())}


def write_binary_convs(model: ir.Model) -> int:
    """Writes every plain binary convolution of a graph as QONNX, in place.

    Returns:
        How many there were.

    Raises:
        UserError: One lies inside an If or a Loop, or its weights are computed.
    """
    count = 0
    for graph in model.graphs():
        for node in [node for node in graph if is_plain_binary_conv(node)]:
            if graph is not model.graph:
                raise _refusal(node, "lies inside an If or a Loop")
            _write(node)
            count += 1
    return count


def _refusal(node: ir.Node, clause: str) -> UserError:
    name = printable(str(node.name))
    return UserError(
        f"layer {name} {clause}, which no tool for QONNX reads; write its forward method without that, or "
        "export with --format onnx"
    )


def _write(node: ir.Node) -> None:
    attributes, x, graph = binary_conv_attributes(node), node.inputs[0], node.graph
    if not isinstance(attributes, BinaryConv2dAttributes):
        raise _refusal(node, "has thresholds per channel, or two levels that do not lie around 0")
    arrays = {name: constant_array(operand(node, _INDEX[name])) for name in ("W", "scale", "bias")}
    packed, scale, bias = arrays.values()
    if packed is None or scale is None or bias is None:
        raise _refusal(node, "has weights, a scale or a bias that are computed")
    assert x is not None
    assert graph is not None
    signs = unpack_signs(packed, attributes.group_channels).astype(np.float32)
    weight = np.ascontiguousarray(signs.transpose(0, 3, 1, 2))
    writer = Writer(node)
    unit = writer.constant(1, np.float32)
    y = writer.node(
        "Conv",
        _bipolar(writer, _centred(writer, x, attributes), unit),
        _bipolar(writer, writer.constant(weight), unit),
        name=node.name,
        kernel_shape=list(weight.shape[2:]),
        **attributes.conv_attributes(),
    )
    y = writer.node("Mul", y, writer.constant(scale.reshape(1, -1, 1, 1)))
    y = writer.node("Add", y, writer.constant(bias.reshape(1, -1, 1, 1)), like=node.outputs[0])
    replace(node.outputs[0], y)
    graph.remove(node, safe=True)


def _bipolar(writer: Writer, x: ir.Value, unit: ir.Value) -> ir.Value:
    return writer.node(BIPOLAR_QUANT, x, unit, like=x, domain=QONNX_DOMAIN)


def _centred(writer: Writer, x: ir.Value, attributes: BinaryConv2dAttributes) -> ir.Value:
    if attributes.threshold == "zero":
        return x
    wide = writer.node("Cast", x, to=DOUBLE)
    mean = writer.node("ReduceMean", wide, writer.constant(SAMPLE_AXES, np.int64), keepdims=1)
    return writer.node("Sub", x, writer.node("Cast", mean, to=FLOAT), like=x)
