"""Shapes of a deployed model's values by onnx's shape inference, which is native code.

Inference would follow the model's functions, again for every call, and reads attributes that they may lack.
So it is given a copy in which each layer of ours is standard operators of the same shapes, such as Transpose,
Conv and Transpose, and which has no functions. Large constants are in it by their shape alone.
"""

import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rbnn_deploy.bits import BITS_PER_BYTE, packed_size
from rbnn_deploy.errors import UserError
from rbnn_deploy.onnx_graph import (
    attributes,
    binary_conv_attributes,
    constant_tensors,
    dimensions,
    is_binary_conv,
    is_quant_conv,
    quant_conv_attributes,
    real_inputs,
)
from rbnn_deploy.operators import DOMAIN, PACK_SIGNS, UNPACK_SIGNS, PackedBinaryConv2dAttributes

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
        prefix = f"shape_of_{index}"
        if is_binary_conv(node) and node.input[1] in stored:
            nodes += _stand_in(node, stored[node.input[1]].dims, prefix, inputs)
        elif is_quant_conv(node) and node.input[1] in stored:
            nodes += _quant_stand_in(node, stored[node.input[1]].dims, prefix, inputs)
        elif node.domain == DOMAIN and node.op_type in (PACK_SIGNS, UNPACK_SIGNS):
            made, constants = _sign_stand_in(node, prefix)
            nodes += made
            small += constants
        else:
            nodes.append(node)
    graph = helper.make_graph(nodes, model.graph.name or "graph", inputs, model.graph.output, small)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _stand_in(
    node: onnx.NodeProto, packed: "list[int]", prefix: str, inputs: list[onnx.ValueInfoProto]
) -> list[onnx.NodeProto]:
    """Makes the standard operators whose output has a binary layer's shape, and their weights' input."""
    geometry = binary_conv_attributes(node)
    outputs, KH, KW, _ = packed
    x, weights, y = (f"{prefix}_{name}" for name in ("x", "weights", "y"))
    if isinstance(geometry, PackedBinaryConv2dAttributes):  # a byte stands for a channel
        floats, pooled = f"{prefix}_floats", f"{prefix}_pooled"
        shape = [packed_size(outputs), packed_size(geometry.channels), KH, KW]
        inputs.append(helper.make_tensor_value_info(weights, TensorProto.FLOAT, shape))
        return [
            helper.make_node("Cast", [node.input[0]], [floats], to=TensorProto.FLOAT),
            helper.make_node("Transpose", [floats], [x], perm=TO_CHANNELS_FIRST),
            helper.make_node("Conv", [x, weights], [y], **geometry.conv_attributes() | {"group": 1}),
            helper.make_node("MaxPool", [y], [pooled], kernel_shape=geometry.pool, strides=geometry.pool),
            helper.make_node("Transpose", [pooled], [f"{prefix}_last"], perm=TO_CHANNELS_LAST),
            helper.make_node("Cast", [f"{prefix}_last"], list(node.output), to=TensorProto.UINT8),
        ]
    shape = [outputs, geometry.group_channels, KH, KW]
    inputs.append(helper.make_tensor_value_info(weights, TensorProto.FLOAT, shape))
    return [
        helper.make_node("Transpose", [node.input[0]], [x], perm=TO_CHANNELS_FIRST),
        helper.make_node("Conv", [x, weights], [y], **geometry.conv_attributes()),
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


def _sign_stand_in(node: onnx.NodeProto, prefix: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Makes the standard operators whose output has the shape of packed, or of unpacked, signs."""
    channels, step, kind = np.iinfo(np.int64).max, BITS_PER_BYTE, TensorProto.UINT8
    x, nodes = node.input[0], []
    if node.op_type == UNPACK_SIGNS:
        channels, step, kind = attributes(node)["channels"], 1, TensorProto.FLOAT
        x = f"{prefix}_x"
        nodes = [helper.make_node("Tile", [node.input[0], f"{prefix}_repeats"], [x])]
    values = {
        "repeats": [1, 1, 1, BITS_PER_BYTE],
        "start": [0],
        "end": [channels],
        "axis": [3],
        "step": [step],
    }
    constants = [
        numpy_helper.from_array(np.array(value, np.int64), f"{prefix}_{name}")
        for name, value in values.items()
    ]
    bounds = [f"{prefix}_{name}" for name in ("start", "end", "axis", "step")]
    nodes += [
        helper.make_node("Slice", [x, *bounds], [f"{prefix}_y"]),
        helper.make_node("Cast", [f"{prefix}_y"], list(node.output), to=kind),
    ]
    return nodes, constants
