"""Passes bits from layer to layer where the next one reads nothing but signs.

    A = BinaryConv2d(X), steps per channel with at most one max pool, and B, a layer with a static threshold

1. A becomes PackedBinaryConv2d: `sum_thresholds` finds what its sums are compared with. Steps and pool
   are gone. A's own X becomes bits by PackSigns, unless it is bits already.
2. B reads UnpackSigns of A's bits, with threshold zero. If B becomes packed in turn, it reads A's bits, and
   nobody reads the numbers.
3. Where A's bits are the opposite of the signs, B's weights of these channels are negated: its sums are the
   same if its padding counts 0, and if it has no window sums. A property of A names these channels, and says
   so if there are none, for tools that look at signs.

Every bit stays what it was.
"""

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.bits import pack_signs, packed_size, unpack_signs
from rbnn_deploy.exporters.onnx.graph import (
    Writer,
    constant_array,
    integer,
    operand,
    producer,
    remove,
    text,
)
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass
from rbnn_deploy.exporters.onnx.passes.sign_links import SignLink, T, W, X, find_link
from rbnn_deploy.exporters.onnx.plain import binary_conv_attributes, is_binary_conv
from rbnn_deploy.operators import (
    DOMAIN,
    OPPOSITE_CHANNELS,
    PACK_SIGNS,
    PACKED_BINARY_CONV2D,
    UNPACK_SIGNS,
    ConvolutionAttributes,
    PackedBinaryConv2dAttributes,
    write_channels,
)


class BitsBetween(ExplainedPass):
    """Makes layers of bits where no later layer needs floats.

    Precondition: layers are fused, and channels-last.
    """

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        graph.sort()
        modified = False
        for conv in [node for node in graph if is_binary_conv(node)]:
            link = find_link(conv)
            if isinstance(link, str):
                self.note(conv, f"passes floats on: {link}", done=False)
                continue
            _pack(conv, link)
            self.note(conv, f"passes bits on to {link.reader.name}")
            modified = True
        return modified


def _pack(conv: ir.Node, link: SignLink) -> None:
    """Writes a layer and what follows it as a layer of bits."""
    writer, attributes, reader, found = Writer(conv), binary_conv_attributes(conv), link.reader, link.found
    weights = _signs(conv, attributes)
    weights[found.negated] *= -1
    geometry = {
        field.name: value
        for field in PackedBinaryConv2dAttributes.fields()
        if (value := attributes.to_dict().get(field.name)) is not None
    }
    packed = PackedBinaryConv2dAttributes.from_mapping({"pad_value": 0, **geometry, "pool": list(link.pool)})
    y = writer.node(
        PACKED_BINARY_CONV2D,
        _bits_of(conv, writer),
        writer.constant(pack_signs(weights)),
        writer.constant(found.thresholds),
        domain=DOMAIN,
        name=conv.name,
        **packed.to_dict(),
    )
    signs = reader.inputs[X]
    assert signs is not None
    outputs = len(weights)
    y.type = ir.TensorType(ir.DataType.UINT8)
    if (layer := producer(y)) is not None:
        layer.metadata_props[OPPOSITE_CHANNELS] = write_channels(np.flatnonzero(found.opposite))
    if signs.shape is not None:
        y.shape = ir.Shape([*list(signs.shape)[:-1], packed_size(outputs)])
    numbers = writer.node(UNPACK_SIGNS, y, like=signs, domain=DOMAIN, channels=outputs)
    _read_signs(reader, numbers, found.opposite)
    remove([*reversed(link.nodes), conv])


def _bits_of(conv: ir.Node, writer: Writer) -> ir.Value:
    """Returns the bits of what a layer reads."""
    x = conv.inputs[X]
    assert x is not None
    made = producer(x)
    if made is not None and (made.domain, made.op_type) == (DOMAIN, UNPACK_SIGNS):
        assert made.inputs[0] is not None
        return made.inputs[0]
    limit = (
        writer.constant(np.zeros(1, np.float32)) if text(conv, "threshold") == "zero" else operand(conv, T)
    )
    bits = writer.node(PACK_SIGNS, x, limit, domain=DOMAIN)
    bits.type = ir.TensorType(ir.DataType.UINT8)
    if x.shape is not None:
        channels = integer(conv, "channels", 0)
        bits.shape = ir.Shape([*list(x.shape)[:-1], packed_size(channels)])
    return bits


def _signs(conv: ir.Node, attributes: ConvolutionAttributes) -> npt.NDArray[np.int8]:
    """Returns a layer's weights, int8 [O, KH, KW, C / groups]."""
    weights: npt.NDArray[np.uint8] | None = constant_array(conv.inputs[W])
    assert weights is not None
    return unpack_signs(weights, attributes.group_channels)


def _read_signs(reader: ir.Node, numbers: ir.Value, opposite: npt.NDArray[np.bool_]) -> None:
    """Lets a layer read numbers that are +1 and -1, some channels of which are negated."""
    reader.replace_input_with(X, numbers)
    if text(reader, "threshold") == "per_channel":
        reader.replace_input_with(T, None)
        reader.attributes["threshold"] = ir.AttrString("threshold", "zero")
    if not opposite.any():
        return
    attributes = binary_conv_attributes(reader)
    weights = _signs(reader, attributes)
    groups = np.where(opposite, -1, 1).astype(np.int8).reshape(attributes.groups, 1, 1, 1, -1)
    by_group = weights.reshape(attributes.groups, -1, *weights.shape[1:])
    reader.replace_input_with(
        W, Writer(reader).constant(pack_signs((by_group * groups).reshape(weights.shape)))
    )
