"""The functions behind PackedBinaryConv2d, PackSigns and UnpackSigns, of the nodes in `function_nodes`.

They follow the pages in docs/ops step by step. Bits become numbers 0 and 1, eight of which are one byte's sum
of powers of two: whole numbers throughout, which float32 holds exactly.
"""

from onnx import FunctionProto, NodeProto, TensorProto, helper

from rbnn_deploy.bits import BITS_PER_BYTE
from rbnn_deploy.exporters.onnx.function_nodes import attribute, floats, integers, make_function, refer
from rbnn_deploy.exporters.onnx.functions import weights
from rbnn_deploy.operators import (
    CONV_ATTRIBUTES,
    PACK_SIGNS_OPERATOR,
    PACKED_BINARY_CONV2D_OPERATOR,
    UNPACK_SIGNS_OPERATOR,
)


def _constants() -> list[NodeProto]:
    eight = [BITS_PER_BYTE]
    shifts = helper.make_tensor("byte_shifts", TensorProto.UINT8, eight, list(range(BITS_PER_BYTE)))
    powers = helper.make_tensor("powers", TensorProto.FLOAT, eight, [2.0**i for i in range(BITS_PER_BYTE)])
    one = helper.make_tensor("byte_one", TensorProto.UINT8, [], [1])
    return [
        helper.make_node("Constant", [], ["byte_shifts"], value=shifts),
        helper.make_node("Constant", [], ["powers"], value=powers),
        helper.make_node("Constant", [], ["byte_one"], value=one),
        integers("eight", BITS_PER_BYTE),
        integers("last_axis", -1),
        integers("a_zero", 0),
    ]


def _unpack(channels: str, output: str) -> list[NodeProto]:
    """Turns X into numbers 0 and 1. `channels`: int64 [1]; `output`: float32 [N, H, W, C]."""
    node = helper.make_node
    return [
        node("Unsqueeze", ["X", "last_axis"], ["x_bytes"]),
        node("BitShift", ["x_bytes", "byte_shifts"], ["x_shifted"], direction="RIGHT"),
        node("BitwiseAnd", ["x_shifted", "byte_one"], ["x_bits"]),
        node("Shape", ["X"], ["x_places"], start=0, end=3),
        node("Shape", ["X"], ["x_count"], start=3),
        node("Mul", ["x_count", "eight"], ["x_bit_count"]),
        node("Concat", ["x_places", "x_bit_count"], ["x_shape"], axis=0),
        node("Reshape", ["x_bits", "x_shape"], ["x_with_tail"], allowzero=1),
        integers("bit_axis", 3),
        node("Slice", ["x_with_tail", "a_zero", channels, "bit_axis"], ["x_without_tail"]),
        node("Cast", ["x_without_tail"], [output], to=TensorProto.FLOAT),
    ]


def _pack(bits: str, output: str) -> list[NodeProto]:
    """Turns booleans [N, H, W, C] into uint8 [N, H, W, ceil(C / 8)]."""
    node = helper.make_node
    return [
        node("Cast", [bits], ["numbers"], to=TensorProto.FLOAT),
        node("Shape", ["numbers"], ["places"], start=0, end=3),
        node("Shape", ["numbers"], ["count"], start=3),
        integers("seven", BITS_PER_BYTE - 1),
        node("Add", ["count", "seven"], ["count_and_seven"]),
        node("Div", ["count_and_seven", "eight"], ["byte_count"]),
        node("Mul", ["byte_count", "eight"], ["bit_count"]),
        node("Sub", ["bit_count", "count"], ["tail"]),
        integers("no_tail", *[0] * 7),
        node("Concat", ["no_tail", "tail"], ["tail_pads"], axis=0),
        node("Pad", ["numbers", "tail_pads"], ["filled"]),
        node("Concat", ["places", "byte_count", "eight"], ["byte_shape"], axis=0),
        node("Reshape", ["filled", "byte_shape"], ["octets"], allowzero=1),
        node("Mul", ["octets", "powers"], ["weighed"]),
        node("ReduceSum", ["weighed", "last_axis"], ["byte_values"], keepdims=0),
        node("Cast", ["byte_values"], [output], to=TensorProto.UINT8),
    ]


def _as_signs(numbers: str, output: str) -> list[NodeProto]:
    """Turns numbers 0 and 1 into -1 and +1."""
    node = helper.make_node
    return [
        floats("one_bit", 1.0),
        node("Add", [numbers, numbers], ["doubled"]),
        node("Sub", ["doubled", "one_bit"], [output]),
    ]


def pack_signs_function(opset: int = 18) -> FunctionProto:
    """Builds PackSigns' function.

    Args:
        opset: Version of the default domain in the model that will hold it, at least 18 (BitwiseAnd).
    """
    compare = helper.make_node("GreaterOrEqual", ["X", "T"], ["bits"])
    return make_function(PACK_SIGNS_OPERATOR, [*_constants(), compare, *_pack("bits", "Y")], opset)


def unpack_signs_function(opset: int = 18) -> FunctionProto:
    """Builds UnpackSigns' function.

    Args:
        opset: See `pack_signs_function`.
    """
    channels = [
        attribute("channels_value", "channels"),
        helper.make_node("Unsqueeze", ["channels_value", "a_zero"], ["channels_list"]),
    ]
    nodes = [*_constants(), *channels, *_unpack("channels_list", "numbers"), *_as_signs("numbers", "Y")]
    return make_function(UNPACK_SIGNS_OPERATOR, nodes, opset)


def packed_binary_conv2d_function(opset: int = 18) -> FunctionProto:
    """Builds PackedBinaryConv2d's function.

    Args:
        opset: See `pack_signs_function`.
    """
    node = helper.make_node
    conv = node("Conv", ["signs", "weights"], ["acc"])
    for name, source in CONV_ATTRIBUTES.items():
        if name != "pads":  # the border is there already
            refer(conv, name, source)
    pool = node("MaxPool", ["passed"], ["pooled"])
    for name in ("kernel_shape", "strides"):
        refer(pool, name, "pool")
    nodes = [
        *_constants(),
        floats("plus", 1.0),
        *weights(),
        node("Unsqueeze", ["channels_value", "a_zero"], ["channels_list"]),
        *_unpack("channels_list", "x_numbers"),
        *_as_signs("x_numbers", "signs_last"),
        node("Transpose", ["signs_last"], ["signs_first"], perm=[0, 3, 1, 2]),
        attribute("pads_value", "pads"),
        integers("two_axes", 2, 2),
        node("Split", ["pads_value", "two_axes"], ["pads_before", "pads_after"]),
        integers("no_pads", 0, 0),
        node("Concat", ["no_pads", "pads_before", "no_pads", "pads_after"], ["all_pads"], axis=0),
        attribute("pad_integer", "pad_value"),
        node("Cast", ["pad_integer"], ["pad_float"], to=TensorProto.FLOAT),
        node("Pad", ["signs_first", "all_pads", "pad_float"], ["signs"]),
        conv,
        # Sums are below 2^24, where float32 is exact: rounding T beyond it changes no comparison.
        node("Cast", ["T"], ["t_row"], to=TensorProto.FLOAT),
        integers("map_axes", 1, 2),
        node("Unsqueeze", ["t_row", "map_axes"], ["t"]),
        node("GreaterOrEqual", ["acc", "t"], ["passes"]),
        node("Cast", ["passes"], ["passed"], to=TensorProto.FLOAT),
        pool,
        node("Transpose", ["pooled"], ["pooled_last"], perm=[0, 2, 3, 1]),
        node("Cast", ["pooled_last"], ["bits"], to=TensorProto.BOOL),
        *_pack("bits", "Y"),
    ]
    return make_function(PACKED_BINARY_CONV2D_OPERATOR, nodes, opset)
