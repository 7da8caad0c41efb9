"""The model-local function behind QuantConv2d, of the nodes in `function_nodes`.

It follows docs/ops/QuantConv2d.md step by step, with one body for all attributes. Four things are not
obvious:

- Transpose has a constant permutation. [N, C, H, W] is written as [N, 1, C H W], and [N, H, W, C] as
  [N, H W, C]; the same Transpose then leaves the one as it is and makes the other channels-first.
- Windows of the mean are gathered, and summed by CumSum, whose order is that of its definition, in float64.
- ConvInteger reads the unsigned numbers a - low. It reads the weights as unsigned numbers too, because
  runtimes multiply unsigned by signed bytes with instructions that saturate on some processors.
- All activations are one Clip, as in BinaryConv2d's function.
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
from rbnn_deploy.operators import BOUNDS, CONV_ATTRIBUTES, QUANT_CONV2D_OPERATOR


def _channels_first() -> list[NodeProto]:
    """X, whatever its layout. x: [N, C, H, W]; map_size: (H, W)."""
    node = helper.make_node
    return [
        attribute("layout_name", "layout"),
        lookup("layout_name", "is_first_float", {"channels_first": 1.0, "channels_last": 0.0}),
        node("Cast", ["is_first_float"], ["is_first"], to=TensorProto.BOOL),
        node("Shape", ["X"], ["samples"], start=0, end=1),
        node("Shape", ["X"], ["size_if_first"], start=2, end=4),
        node("Shape", ["X"], ["size_if_last"], start=1, end=3),
        node("Where", ["is_first", "size_if_first", "size_if_last"], ["map_size"]),
        node("ReduceProd", ["map_size"], ["pixels"], keepdims=1),
        attribute("channels_value", "channels"),
        integers("first_axis", 0),
        node("Unsqueeze", ["channels_value", "first_axis"], ["channels"]),
        node("Mul", ["channels", "pixels"], ["elements"]),
        integers("one", 1),
        node("Where", ["is_first", "one", "pixels"], ["rows_of_matrix"]),
        node("Where", ["is_first", "elements", "channels"], ["columns_of_matrix"]),
        node("Concat", ["samples", "rows_of_matrix", "columns_of_matrix"], ["matrix_shape"], axis=0),
        node("Reshape", ["X", "matrix_shape"], ["matrix"], allowzero=1),
        node("Transpose", ["matrix"], ["transposed"], perm=[0, 2, 1]),
        node("Concat", ["samples", "channels", "map_size"], ["x_shape"], axis=0),
        node("Reshape", ["transposed", "x_shape"], ["x"], allowzero=1),
    ]


def _window_indices(axis: int, name: str) -> list[NodeProto]:
    """The indices of each window along one axis of the map. NAME_indices: int64 [windows, taps]."""
    node = helper.make_node
    taps, windows, stride = f"{name}_taps", f"{name}_windows", f"{name}_stride"
    return [
        integers(f"{name}_axis", axis, scalar=True),
        node("Gather", ["mean_window", f"{name}_axis"], [taps]),
        node("Gather", ["mean_size", f"{name}_axis"], [windows]),
        node("Gather", ["mean_strides_value", f"{name}_axis"], [stride]),
        node("Range", ["zero_index", windows, "one_index"], [f"{name}_numbers"]),
        node("Mul", [f"{name}_numbers", stride], [f"{name}_begins"]),
        node("Unsqueeze", [f"{name}_begins", "one"], [f"{name}_begin_column"]),
        node("Range", ["zero_index", taps, "one_index"], [f"{name}_offsets"]),
        node("Add", [f"{name}_begin_column", f"{name}_offsets"], [f"{name}_indices"]),
    ]


def _mean() -> list[NodeProto]:
    """The means, in the specification's order. means: [N, C, rows, columns]."""
    node = helper.make_node
    return [
        attribute("mean_kernel_value", "mean_kernel"),
        attribute("mean_strides_value", "mean_strides"),
        node("Equal", ["mean_kernel_value", "first_axis"], ["is_whole"]),
        node("Where", ["is_whole", "map_size", "mean_kernel_value"], ["mean_window"]),
        node("Sub", ["map_size", "mean_window"], ["mean_span"]),
        node("Div", ["mean_span", "mean_strides_value"], ["mean_steps"]),
        node("Add", ["mean_steps", "one"], ["mean_size"]),
        integers("zero_index", 0, scalar=True),
        integers("one_index", 1, scalar=True),
        *_window_indices(0, "vertical"),
        *_window_indices(1, "horizontal"),
        node("Gather", ["x", "vertical_indices"], ["rows"], axis=2),
        node("Gather", ["rows", "horizontal_indices"], ["rows_and_columns"], axis=4),
        node("Transpose", ["rows_and_columns"], ["windows"], perm=[0, 1, 2, 4, 3, 5]),
        node("ReduceProd", ["mean_window"], ["mean_taps"], keepdims=1),
        node("Concat", ["samples", "channels", "mean_size", "mean_taps"], ["window_shape"], axis=0),
        node("Reshape", ["windows", "window_shape"], ["flat_windows"], allowzero=1),
        node("Cast", ["flat_windows"], ["flat_windows64"], to=TensorProto.DOUBLE),
        integers("tap_axis", 4, scalar=True),
        node("CumSum", ["flat_windows64", "tap_axis"], ["sums64"]),
        integers("last_index", -1, scalar=True),
        node("Gather", ["sums64", "last_index"], ["totals64"], axis=4),
        node("Cast", ["mean_taps"], ["mean_taps64"], to=TensorProto.DOUBLE),
        node("Div", ["totals64", "mean_taps64"], ["means64"]),
        node("Cast", ["means64"], ["means"], to=TensorProto.FLOAT),
    ]


def _integers() -> list[NodeProto]:
    """The activations a as a - low, and what stands for 0. activations: uint8; zero_point: uint8 []."""
    node = helper.make_node
    return [
        attribute("low_value", "low"),
        attribute("high_value", "high"),
        node("Cast", ["low_value"], ["low_float"], to=TensorProto.FLOAT),
        node("Cast", ["high_value"], ["high_float"], to=TensorProto.FLOAT),
        node("Reshape", ["factor", "one"], ["factor_list"]),
        node("Mul", ["means", "factor_list"], ["v"]),
        node("Greater", ["v", "low_float"], ["is_above"]),
        node("Where", ["is_above", "v", "low_float"], ["v1"]),
        node("Less", ["v1", "high_float"], ["is_below"]),
        node("Where", ["is_below", "v1", "high_float"], ["v2"]),
        node("Round", ["v2"], ["a"]),
        node("Sub", ["a", "low_float"], ["a_unsigned"]),
        node("Cast", ["a_unsigned"], ["activations"], to=TensorProto.UINT8),
        node("Neg", ["low_float"], ["minus_low"]),
        node("Cast", ["minus_low"], ["zero_point"], to=TensorProto.UINT8),
    ]


def _sums() -> list[NodeProto]:
    """The exact sums, channels last. acc: int32 [N, OH, OW, O]."""
    node = helper.make_node
    conv = node("ConvInteger", ["activations", "weights", "zero_point", "weight_zero"], ["acc_first"])
    for name, source in CONV_ATTRIBUTES.items():
        refer(conv, name, source)
    return [
        node("Transpose", ["W"], ["W_first"], perm=[0, 3, 1, 2]),
        node("Cast", ["W_first"], ["W_float"], to=TensorProto.FLOAT),
        floats("half_range", 128.0),
        node("Add", ["W_float", "half_range"], ["W_unsigned"]),
        node("Cast", ["W_unsigned"], ["weights"], to=TensorProto.UINT8),
        node("Cast", ["half_range"], ["weight_zero"], to=TensorProto.UINT8),
        conv,
        node("Transpose", ["acc_first"], ["acc"], perm=[0, 2, 3, 1]),
    ]


def _epilogue() -> list[NodeProto]:
    node = helper.make_node
    pool = node("MaxPool", ["y4_first"], ["Y_first"])
    for name, source in (("kernel_shape", "pool_kernel"), ("strides", "pool_strides"), ("pads", "pool_pads")):
        refer(pool, name, source)
    return [
        node("Cast", ["acc"], ["y0"], to=TensorProto.FLOAT),
        node("Mul", ["y0", "scale"], ["y1"]),
        node("Add", ["y1", "bias"], ["y2"]),
        node("Add", ["y2", "R"], ["y3"]),
        attribute("activation_name", "activation"),
        lookup("activation_name", "lower", {name: low for name, (low, _) in BOUNDS.items()}),
        lookup("activation_name", "upper", {name: high for name, (_, high) in BOUNDS.items()}),
        node("Clip", ["y3", "lower", "upper"], ["y4"]),
        node("Transpose", ["y4"], ["y4_first"], perm=[0, 3, 1, 2]),
        pool,
        node("Transpose", ["Y_first"], ["Y"], perm=[0, 2, 3, 1]),
    ]


def quant_conv2d_function(opset: int = 18) -> FunctionProto:
    """Builds the function.

    Args:
        opset: Version of the default domain in the model that will hold it, at least 18.

    Returns:
        A function of exactly six inputs; a node without a residual passes one element 0 as R.
    """
    return make_function(
        QUANT_CONV2D_OPERATOR,
        [*_channels_first(), *_mean(), *_integers(), *_sums(), *_epilogue()],
        opset,
    )
