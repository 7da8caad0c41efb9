"""The plain graph's layers: channels-first, operators of the exporter's own that no file has.

torch.export's graph is channels-first throughout. Until the layout is decided, a binary layer is one node

    ai.rbnn.plain::BinaryConv2d(X [N, C, H, W], W, scale, bias) -> [N, O, OH, OW]

with the weights and attributes of docs/ops/BinaryConv2d.md, or GeneralBinaryConv2d with those of
its page. No tool in between can tear it apart, as it could tear a BinaryConv2d between two Transposes.
A layer of int8 weights is a QuantConv2d likewise.
"""

from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import TO_CHANNELS_FIRST, TO_CHANNELS_LAST, Writer, replace
from rbnn_deploy.operators import (
    BINARY_CONVOLUTIONS,
    DOMAIN,
    OPERATORS,
    QUANT_CONV2D,
    ConvolutionAttributes,
)

PLAIN_DOMAIN = "ai.rbnn.plain"
PLAIN_VERSION = 1


def is_plain_binary_conv(node: ir.Node) -> bool:
    """Tells whether a node is a channels-first binary convolution."""
    return node.domain == PLAIN_DOMAIN and node.op_type in BINARY_CONVOLUTIONS


def is_binary_conv(node: ir.Node) -> bool:
    """Tells whether a node is a binary convolution as files have it, channels-last."""
    return node.domain == DOMAIN and node.op_type in BINARY_CONVOLUTIONS


def is_plain_layer(node: ir.Node) -> bool:
    """Tells whether a node is a channels-first layer of ours: binary, or of int8 weights."""
    return is_plain_binary_conv(node) or (node.domain, node.op_type) == (PLAIN_DOMAIN, QUANT_CONV2D)


def is_quant_conv(node: ir.Node) -> bool:
    """Tells whether a node is a QuantConv2d as files have it, whose output is channels-last."""
    return node.domain == DOMAIN and node.op_type == QUANT_CONV2D


def binary_conv_attributes(node: ir.Node) -> ConvolutionAttributes:
    """Returns the attributes of a binary convolution, in either layout."""
    table = OPERATORS[node.op_type].attributes
    found = table.from_mapping({name: node.attributes[name].value for name in table.names()})
    assert isinstance(found, ConvolutionAttributes)
    return found


def write_layer(writer: Writer, node: ir.Node, x: ir.Value) -> ir.Value:
    """Adds the channels-last form of a plain layer.

    Args:
        writer: Where the node is added.
        node: The plain one.
        x: Its first input, channels-last.

    Returns:
        [N, OH, OW, O].
    """
    layout = {"layout": "channels_last"} if node.op_type == QUANT_CONV2D else {}
    (y,) = writer.copy(node, [x, *node.inputs[1:]], domain=DOMAIN, changed=layout)
    shape = node.outputs[0].shape
    if shape is not None:
        y.shape = ir.Shape([shape[axis] for axis in TO_CHANNELS_LAST])
    y.type = ir.TensorType(ir.DataType.FLOAT)
    return y


def lower_in_place(model: ir.Model) -> None:
    """Writes each plain binary convolution as a BinaryConv2d between two Transposes: no layout is chosen."""
    for graph in model.graphs():
        for node in [node for node in graph if is_plain_binary_conv(node)]:
            writer = Writer(node)
            x = node.inputs[0]
            assert x is not None
            y = write_layer(writer, node, writer.transpose(x, TO_CHANNELS_LAST))
            replace(node.outputs[0], writer.transpose(y, TO_CHANNELS_FIRST))
            graph.remove(node, safe=True)
