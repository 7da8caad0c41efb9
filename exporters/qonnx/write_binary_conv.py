"""One plain binary convolution as QONNX: BipolarQuant on both sides of a Conv.

    s = BipolarQuant(X, 1)                 +1 where X >= 0, else -1, as our sign has it
    b = BipolarQuant(W, 1)                 [O, C / groups, KH, KW]
    y = Conv(s, b) * scale + bias          the sum is an exact integer; each further step is rounded once

Both scales are 1, so that Conv sums whole numbers, which are exact in any order. Its zero padding counts 0,
as a padded tap does in docs/ops/BinaryConv2d.md. The mean of a sample is subtracted in front of the sign:

    t = float32(ReduceMean(float64(X)));   X - t >= 0 is X >= t for finite numbers: a difference of two floats
                                           is 0 only where they are equal

and so are the thresholds T of a GeneralBinaryConv2d. Its other terms, as docs/ops has them:

    S = Conv(s, BipolarQuant(ones, 1));    y + S * window_sum
    E, a constant map [1, O, OH, OW] of what padded taps add, because the size of the map is known;    y + E
"""

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.bits import unpack_signs
from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.graph import (
    Writer,
    constant_array,
    map_size,
    operand,
    path_name,
    replace,
)
from rbnn_deploy.exporters.onnx.plain import binary_conv_attributes, is_plain_binary_conv
from rbnn_deploy.exporters.qonnx.domain import BIPOLAR_QUANT, QONNX_DOMAIN
from rbnn_deploy.operators import GENERAL_BINARY_CONV2D_OPERATOR, ConvolutionAttributes
from rbnn_deploy.text import printable

FLOAT, DOUBLE = ir.DataType.FLOAT, ir.DataType.DOUBLE
SAMPLE_AXES = (1, 2, 3)
_INDEX = {name: i for i, name in enumerate(GENERAL_BINARY_CONV2D_OPERATOR.input_names())}


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
    arrays = {name: constant_array(operand(node, index)) for name, index in _INDEX.items()}
    packed, scale, bias = (arrays[name] for name in ("W", "scale", "bias"))
    if packed is None or scale is None or bias is None:
        raise _refusal(node, "has weights, a scale or a bias that are computed")
    assert x is not None
    assert graph is not None
    signs = unpack_signs(packed, attributes.group_channels).astype(np.float32)
    weight = np.ascontiguousarray(signs.transpose(0, 3, 1, 2))
    writer = Writer(node)
    unit = writer.constant(1, np.float32)
    bits = _bipolar(writer, _compared(writer, x, attributes, arrays["T"]), unit)

    def convolved(values: npt.NDArray[np.float32], name: str) -> ir.Value:
        kernel = _bipolar(writer, writer.constant(values), unit)
        return writer.node(
            "Conv",
            bits,
            kernel,
            name=name,
            kernel_shape=list(values.shape[2:]),
            **attributes.conv_attributes(),
        )

    y = writer.node("Mul", convolved(weight, str(node.name)), writer.constant(_per_channel(scale)))
    y = writer.node("Add", y, writer.constant(_per_channel(bias)), like=node.outputs[0])
    if (border := arrays["border"]) is not None:
        size = map_size(x)
        if size is None:
            raise _refusal(node, "reads a map whose size is not known")
        term = _border_map(border, size[1:], attributes)
        y = writer.node("Add", y, writer.constant(term), like=node.outputs[0])
    if (factor := arrays["window_sum"]) is not None:
        sums = convolved(np.ones_like(weight), path_name(str(node.name), "window_sum"))
        product = writer.node("Mul", sums, writer.constant(_per_channel(factor)))
        y = writer.node("Add", y, product, like=node.outputs[0])
    replace(node.outputs[0], y)
    graph.remove(node, safe=True)


def _bipolar(writer: Writer, x: ir.Value, unit: ir.Value) -> ir.Value:
    return writer.node(BIPOLAR_QUANT, x, unit, like=x, domain=QONNX_DOMAIN)


def _per_channel(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return values.reshape(1, -1, 1, 1)


def _border_map(
    border: npt.NDArray[np.float32], size: tuple[int, int], attributes: ConvolutionAttributes
) -> npt.NDArray[np.float32]:
    """Returns what padded taps add to each pixel, float32 [1, O, OH, OW], summed as docs/ops says."""
    KH, KW, outputs = border.shape
    rows, columns = (
        [
            position * attributes.strides[axis]
            - attributes.pads[axis]
            + np.arange(taps) * attributes.dilations[axis]
            for position in range(attributes.output_size(size, (KH, KW))[axis])
        ]
        for axis, taps in enumerate((KH, KW))
    )
    result = np.zeros((1, outputs, len(rows), len(columns)), np.float32)
    for p, h in enumerate(rows):
        for q, w in enumerate(columns):
            for i in range(KH):
                for j in range(KW):
                    if not (0 <= h[i] < size[0] and 0 <= w[j] < size[1]):
                        result[0, :, p, q] += border[i, j]
    return result


def _compared(
    writer: Writer, x: ir.Value, attributes: ConvolutionAttributes, thresholds: npt.NDArray[np.float32] | None
) -> ir.Value:
    """Returns the values whose comparison with 0 gives the bits."""
    rule = attributes.to_dict()["threshold"]
    if rule == "zero":
        return x
    if rule == "per_channel":
        assert thresholds is not None
        return writer.node("Sub", x, writer.constant(_per_channel(thresholds)), like=x)
    wide = writer.node("Cast", x, to=DOUBLE)
    mean = writer.node("ReduceMean", wide, writer.constant(SAMPLE_AXES, np.int64), keepdims=1)
    return writer.node("Sub", x, writer.node("Cast", mean, to=FLOAT), like=x)
