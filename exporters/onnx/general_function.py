"""The model-local function behind GeneralBinaryConv2d, of the nodes in `function_nodes`.

It follows docs/ops/GeneralBinaryConv2d.md step by step. Both sides of a choice are computed, and Where takes
one of them, so a number that no attribute reads is never seen in Y.
"""

from onnx import FunctionProto, NodeProto, TensorProto, helper

from rbnn_deploy.exporters.onnx.function_nodes import (
    attribute,
    floats,
    integers,
    lookup,
    make_function,
    refer,
)
from rbnn_deploy.exporters.onnx.functions import weights
from rbnn_deploy.operators import BOUNDS, CONV_ATTRIBUTES, GENERAL_BINARY_CONV2D_OPERATOR

_FIELDS = {field.name: field for field in GENERAL_BINARY_CONV2D_OPERATOR.attributes.fields()}


def _is(output: str, source: str, choice: str) -> list[NodeProto]:
    """Computes whether a string attribute has a value. output: bool []."""
    table = {name: float(name == choice) for name in _FIELDS[source].choices}
    return [
        attribute(f"{output}_name", source),
        lookup(f"{output}_name", f"{output}_float", table),
        helper.make_node("Cast", [f"{output}_float"], [output], to=TensorProto.BOOL),
    ]


def _signs() -> list[NodeProto]:
    """Activations as +1 and -1, channels first, with their border. signs: [N, C, H + pads, W + pads]."""
    node = helper.make_node
    return [
        integers("sample_axes", 1, 2, 3),
        node("Cast", ["X"], ["x64"], to=TensorProto.DOUBLE),
        node("ReduceMean", ["x64", "sample_axes"], ["mean64"], keepdims=1),
        node("Cast", ["mean64"], ["mean"], to=TensorProto.FLOAT),
        floats("zero", 0.0),
        *_is("centred", "threshold", "sample_mean"),
        node("Where", ["centred", "mean", "zero"], ["t_of_sample"]),
        *_is("by_channel", "threshold", "per_channel"),
        node("Where", ["by_channel", "T", "t_of_sample"], ["t"]),
        node("GreaterOrEqual", ["X", "t"], ["bits"]),
        floats("plus", 1.0),
        floats("minus", -1.0),
        node("Where", ["bits", "plus", "minus"], ["signs_last"]),
        node("Transpose", ["signs_last"], ["signs_first"], perm=[0, 3, 1, 2]),
        attribute("pads_value", "pads"),
        integers("two_axes", 2, 2),
        node("Split", ["pads_value", "two_axes"], ["pads_before", "pads_after"]),
        integers("no_pads", 0, 0),
        node("Concat", ["no_pads", "pads_before", "no_pads", "pads_after"], ["all_pads"], axis=0),
        attribute("pad_integer", "pad_value"),
        node("Cast", ["pad_integer"], ["pad_float"], to=TensorProto.FLOAT),
        node("Pad", ["signs_first", "all_pads", "pad_float"], ["signs"]),
    ]


def _conv(kernel: str, output: str) -> NodeProto:
    conv = helper.make_node("Conv", ["signs", kernel], [output])
    for name, source in CONV_ATTRIBUTES.items():
        if name != "pads":  # the border is there already
            refer(conv, name, source)
    return conv


def _sums() -> list[NodeProto]:
    """The exact sums, channels last. acc, S: [N, OH, OW, O]."""
    node = helper.make_node
    return [
        _conv("weights", "acc_first"),
        node("Transpose", ["acc_first"], ["acc"], perm=[0, 2, 3, 1]),
        # One output channel per group, then as many as the group has.
        node("Unsqueeze", ["groups_value", "first_axis"], ["groups_list"]),
        node("Shape", ["weights"], ["outputs_list"], start=0, end=1),
        node("Shape", ["weights"], ["kernel_shape"], start=1),
        node("Concat", ["groups_list", "kernel_shape"], ["ones_shape"], axis=0),
        node("Expand", ["plus", "ones_shape"], ["ones"]),
        _conv("ones", "sums_of_groups"),
        integers("after_groups", 2),
        node("Unsqueeze", ["sums_of_groups", "after_groups"], ["sums_apart"]),
        integers("one_one", 1, 1),
        node("Div", ["outputs_list", "groups_list"], ["group_outputs"]),
        node("Concat", ["one_one", "group_outputs", "one_one"], ["repeats"], axis=0),
        node("Expand", ["sums_apart", "repeats"], ["sums_repeated"]),
        node("Shape", ["acc_first"], ["acc_shape"]),
        node("Reshape", ["sums_repeated", "acc_shape"], ["sums_first"], allowzero=1),
        node("Transpose", ["sums_first"], ["S"], perm=[0, 2, 3, 1]),
    ]


def _border() -> list[NodeProto]:
    """What padded taps add: the convolution of a map that is 1 in the border alone. E: [1, OH, OW, O]."""
    node = helper.make_node
    conv = node("Conv", ["outside", "border_kernel"], ["E_first"])
    for name in ("strides", "dilations"):
        refer(conv, name, name)
    return [
        node("Shape", ["X"], ["map_size"], start=1, end=3),
        node("Concat", ["one_one", "map_size"], ["map_shape"], axis=0),
        node("Expand", ["zero", "map_shape"], ["inside_map"]),
        node("Pad", ["inside_map", "all_pads", "plus"], ["outside"]),
        node("Shape", ["W"], ["taps_list"], start=1, end=3),
        node("Concat", ["taps_list", "outputs_list"], ["border_shape"], axis=0),
        node("Expand", ["border", "border_shape"], ["border_whole"]),
        node("Transpose", ["border_whole"], ["border_first"], perm=[2, 0, 1]),
        integers("second_axis", 1),
        node("Unsqueeze", ["border_first", "second_axis"], ["border_kernel"]),
        conv,
        node("Transpose", ["E_first"], ["E"], perm=[0, 2, 3, 1]),
    ]


def _epilogue() -> list[NodeProto]:
    node = helper.make_node
    bounds = dict.fromkeys(_FIELDS["activation"].choices, BOUNDS["none"]) | dict(BOUNDS)
    return [
        *_is("early", "residual", "before_activation"),
        node("Where", ["early", "R", "zero"], ["r_before"]),
        node("Where", ["early", "zero", "R"], ["r_after"]),
        node("Mul", ["acc", "scale"], ["y1"]),
        node("Add", ["y1", "bias"], ["y2"]),
        node("Add", ["y2", "r_before"], ["y3"]),
        node("Add", ["y3", "E"], ["y4"]),
        node("Mul", ["S", "window_sum"], ["of_window"]),
        node("Add", ["y4", "of_window"], ["y5"]),
        attribute("activation_name", "activation"),
        lookup("activation_name", "low", {name: low for name, (low, _) in bounds.items()}),
        lookup("activation_name", "high", {name: high for name, (_, high) in bounds.items()}),
        node("Clip", ["y5", "low", "high"], ["clipped"]),
        *_is("sloped", "activation", "prelu"),
        node("Less", ["y5", "zero"], ["negative"]),
        node("Where", ["negative", "neg", "pos"], ["slope"]),
        node("Mul", ["y5", "slope"], ["scaled"]),
        node("Add", ["scaled", "post"], ["with_post"]),
        node("Where", ["sloped", "with_post", "clipped"], ["y6"]),
        node("Add", ["y6", "r_after"], ["Y"]),
    ]


def general_binary_conv2d_function(opset: int = 18) -> FunctionProto:
    """Builds the function.

    Args:
        opset: Version of the default domain in the model that will hold it, at least 18 (BitwiseAnd).

    Returns:
        A function of exactly eleven inputs; docs/ops/ says what stands for an absent one.
    """
    return make_function(
        GENERAL_BINARY_CONV2D_OPERATOR, [*_signs(), *weights(), *_sums(), *_border(), *_epilogue()], opset
    )
