"""Shapes of a deployed model's values by onnx's shape inference, which is native code.

Inference would follow the model's functions, again for every call, and reads attributes that they may lack.
So it is given a copy in which each layer of ours is standard operators of the same shapes, such as Transpose,
Conv and Transpose, and which has no functions. Large constants are in it by their shape alone.
"""

import math

import onnx
from onnx import TensorProto, helper

from rbnn_deploy.errors import UserError
from rbnn_deploy.onnx_graph import (
    binary_conv_attributes,
    constant_tensors,
    dimensions,
    is_binary_conv,
    is_quant_conv,
    quant_conv_attributes,
    real_inputs,
)

MOST_ELEMENTS = 1024  # of a constant whose values may say a shape
TO_CHANNELS_FIRST, TO_CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def inferred_values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Returns the values whose shapes inference finds, with these and their types.

    Args:
        model: A model that `model_files.read_model` read, or one of this program's own.

    Raises:
        UserError: The shapes of the model's layers contradict each other.
    """
    try:
        graph = onnx.shape_inference.infer_shapes(_shapes_only(model), data_prop=True).graph
    except Exception as error:  # InferenceError, and whatever else native code lets through
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"the model's layers do not fit together ({reason}); export it again") from None
    values = [*graph.value_info, *graph.input, *graph.output]
    return [value for value in values if value.type.tensor_type.HasField("shape")]


def static_shapes(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """Returns the shapes that inference finds, by the value's name; None for a size that is not a number.

    Args:
        model: See `inferred_values`.

    Raises:
        UserError: See `inferred_values`.
    """
    return {value.name: dimensions(value) for value in inferred_values(model)}


def _shapes_only(model: onnx.ModelProto) -> onnx.ModelProto:
    stored = constant_tensors(model.graph)
    nodes: list[onnx.NodeProto] = []
    inputs = list(real_inputs(model.graph))
    small = []
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= MOST_ELEMENTS:
            small.append(tensor)
        else:
            inputs.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    for index, node in enumerate(model.graph.node):
        if is_binary_conv(node) and node.input[1] in stored:
            nodes += _stand_in(node, stored[node.input[1]].dims, f"shape_of_{index}", inputs)
        elif is_quant_conv(node) and node.input[1] in stored:
            nodes += _quant_stand_in(node, stored[node.input[1]].dims, f"shape_of_{index}", inputs)
        else:
            nodes.append(node)
    graph = helper.make_graph(nodes, model.graph.name or "graph", inputs, model.graph.output, small)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _stand_in(
    node: onnx.NodeProto, packed: "list[int]", prefix: str, inputs: list[onnx.ValueInfoProto]
) -> list[onnx.NodeProto]:
    """Makes the standard operators whose output has a binary layer's shape, and their weights' input."""
    attributes = binary_conv_attributes(node)
    outputs, KH, KW, _ = packed
    x, weights, y = (f"{prefix}_{name}" for name in ("x", "weights", "y"))
    shape = [outputs, attributes.group_channels, KH, KW]
    inputs.append(helper.make_tensor_value_info(weights, TensorProto.FLOAT, shape))
    return [
        helper.make_node("Transpose", [node.input[0]], [x], perm=TO_CHANNELS_FIRST),
        helper.make_node("Conv", [x, weights], [y], **attributes.conv_attributes()),
        helper.make_node("Transpose", [y], list(node.output), perm=TO_CHANNELS_LAST),
    ]


def _quant_stand_in(
    node: onnx.NodeProto, weight: "list[int]", prefix: str, inputs: list[onnx.ValueInfoProto]
) -> list[onnx.NodeProto]:
    """Makes the standard operators whose output has a QuantConv2d's shape, and their weights' input."""
    a = quant_conv_attributes(node)
    names = ("first", "axes", "whole", "means", "weights", "sums", "pooled")
    first, axes, whole, means, weights, sums, pooled = (f"{prefix}_{name}" for name in names)
    shape = [weight[0], weight[3], *weight[1:3]]
    inputs.append(helper.make_tensor_value_info(weights, TensorProto.FLOAT, shape))
    perm = (0, 1, 2, 3) if a.layout == "channels_first" else TO_CHANNELS_FIRST
    # A mean over the whole extent is one of whatever size that is.
    reduced = [axis for axis, taps in zip((2, 3), a.mean_kernel, strict=True) if not taps]
    window = [taps or 1 for taps in a.mean_kernel]
    return [
        helper.make_node("Transpose", [node.input[0]], [first], perm=perm),
        helper.make_node(
            "Constant", [], [axes], value=helper.make_tensor(axes, TensorProto.INT64, [len(reduced)], reduced)
        ),
        helper.make_node("ReduceMean", [first, axes], [whole], keepdims=1, noop_with_empty_axes=1),
        helper.make_node("AveragePool", [whole], [means], kernel_shape=window, strides=a.mean_strides),
        helper.make_node("Conv", [means, weights], [sums], **a.conv_attributes()),
        helper.make_node(
            "MaxPool",
            [sums],
            [pooled],
            kernel_shape=a.pool_kernel,
            strides=a.pool_strides,
            pads=a.pool_pads,
        ),
        helper.make_node("Transpose", [pooled], list(node.output), perm=TO_CHANNELS_LAST),
    ]
