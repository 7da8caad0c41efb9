"""The model-local function behind BinaryConv2d: its definition in standard operators, and the fallback.

Where the operator library is not registered a runtime inlines this body. It follows docs/ops/BinaryConv2d.md
step by step. Two things are not obvious:

- `threshold` and `activation` are strings, which standard operators cannot compare at opset 18; LabelEncoder
  (ai.onnx.ml) maps them to numbers, and runtimes fold the result, a constant, when they load the model.
- All activations are one Clip, whose bounds are infinite where there is none.
"""

from onnx import FunctionProto, NodeProto, TensorProto, helper

from rbnn_deploy.bits import BITS_PER_BYTE
from rbnn_deploy.exporters.onnx.function_nodes import (
    attribute,
    floats,
    integers,
    lookup,
    make_function,
    refer,
)
from rbnn_deploy.operators import BINARY_CONV2D_OPERATOR, BOUNDS, CONV_ATTRIBUTES


def _threshold() -> list[NodeProto]:
    """T per sample: the float64 mean, rounded to float32, or zero. t: [N, 1, 1, 1]."""
    node = helper.make_node
    return [
        integers("sample_axes", 1, 2, 3),
        node("Cast", ["X"], ["x64"], to=TensorProto.DOUBLE),
        node("ReduceMean", ["x64", "sample_axes"], ["mean64"], keepdims=1),
        node("Cast", ["mean64"], ["mean"], to=TensorProto.FLOAT),
        attribute("threshold_name", "threshold"),
        lookup("threshold_name", "centred_float", {"sample_mean": 1.0, "zero": 0.0}),
        node("Cast", ["centred_float"], ["centred"], to=TensorProto.BOOL),
        floats("zero", 0.0),
        node("Where", ["centred", "mean", "zero"], ["t"]),
    ]


def _signs() -> list[NodeProto]:
    """Activations as +1 and -1, channels first. signs: [N, C, H, W]."""
    node = helper.make_node
    return [
        node("GreaterOrEqual", ["X", "t"], ["bits"]),
        floats("plus", 1.0),
        floats("minus", -1.0),
        node("Where", ["bits", "plus", "minus"], ["signs_last"]),
        node("Transpose", ["signs_last"], ["signs"], perm=[0, 3, 1, 2]),
    ]


def weights() -> list[NodeProto]:
    """Weights as +1 and -1. weights: [O, C / groups, KH, KW]."""
    node = helper.make_node
    shifts = helper.make_tensor("shifts", TensorProto.UINT8, [BITS_PER_BYTE], list(range(BITS_PER_BYTE)))
    one = helper.make_tensor("one_u8", TensorProto.UINT8, [], [1])
    return [
        integers("last", -1),
        node("Unsqueeze", ["W", "last"], ["bytes"]),
        node("Constant", [], ["shifts"], value=shifts),
        node("BitShift", ["bytes", "shifts"], ["shifted"], direction="RIGHT"),
        node("Constant", [], ["one_u8"], value=one),
        node("BitwiseAnd", ["shifted", "one_u8"], ["weight_bits"]),
        integers("merge_last_two", 0, 0, 0, -1),
        node("Reshape", ["weight_bits", "merge_last_two"], ["with_tail"]),
        attribute("channels_value", "channels"),
        attribute("groups_value", "groups"),
        node("Div", ["channels_value", "groups_value"], ["group_channels"]),
        integers("first_axis", 0),
        node("Unsqueeze", ["group_channels", "first_axis"], ["slice_end"]),
        integers("slice_start", 0),
        integers("slice_axis", 3),
        node("Slice", ["with_tail", "slice_start", "slice_end", "slice_axis"], ["without_tail"]),
        node("Transpose", ["without_tail"], ["weights_first"], perm=[0, 3, 1, 2]),
        node("Cast", ["weights_first"], ["weights01"], to=TensorProto.FLOAT),
        floats("two", 2.0),
        node("Mul", ["weights01", "two"], ["weights02"]),
        node("Sub", ["weights02", "plus"], ["weights"]),
    ]


def _convolution() -> list[NodeProto]:
    """The exact integer sums, channels last. acc: [N, OH, OW, O]."""
    conv = helper.make_node("Conv", ["signs", "weights"], ["acc_first"])
    for name, source in CONV_ATTRIBUTES.items():
        refer(conv, name, source)
    return [conv, helper.make_node("Transpose", ["acc_first"], ["acc"], perm=[0, 2, 3, 1])]


def _epilogue() -> list[NodeProto]:
    node = helper.make_node
    return [
        node("Mul", ["acc", "scale"], ["scaled"]),
        node("Add", ["scaled", "bias"], ["biased"]),
        node("Add", ["biased", "R"], ["summed"]),
        attribute("activation_name", "activation"),
        lookup("activation_name", "low", {name: low for name, (low, _) in BOUNDS.items()}),
        lookup("activation_name", "high", {name: high for name, (_, high) in BOUNDS.items()}),
        node("Clip", ["summed", "low", "high"], ["Y"]),
    ]


def binary_conv2d_function(opset: int = 18) -> FunctionProto:
    """Builds the function.

    Args:
        opset: Version of the default domain in the model that will hold it, at least 18 (BitwiseAnd).

    Returns:
        A function of exactly five inputs; a node without a residual passes one element 0 as R.
    """
    return make_function(
        BINARY_CONV2D_OPERATOR,
        [*_threshold(), *_signs(), *weights(), *_convolution(), *_epilogue()],
        opset,
    )
