"""Small helpers on ONNX graphs that the baselines share."""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from rbnn_deploy.operators import BINARY_CONV2D, DOMAIN

TO_CHANNELS_LAST = [0, 2, 3, 1]  # perm of a Transpose from NCHW to NHWC
TO_CHANNELS_FIRST = [0, 3, 1, 2]  # and back; also: the NHWC axis at which each NCHW axis stands


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Returns a node's attributes by name."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def is_binary_conv(node: onnx.NodeProto) -> bool:
    """Tells whether a node is a binary convolution."""
    return node.domain == DOMAIN and node.op_type == BINARY_CONV2D


def constants(graph: onnx.GraphProto) -> dict[str, npt.NDArray[Any]]:
    """Returns the graph's constant values: initializers, and the tensors of Constant nodes."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and "value" in (values := attributes(node)):
            found[node.output[0]] = numpy_helper.to_array(values["value"])
    return found


def uses(graph: onnx.GraphProto) -> Counter[str]:
    """Counts how often each value is read; an output of the graph counts as a reader."""
    return Counter(
        [name for node in graph.node for name in node.input if name]
        + [output.name for output in graph.output]
    )


def static_shapes(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """Returns the shapes that inference finds; None stands for a dimension that is not a number."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {}
    for value in [*graph.value_info, *graph.input, *graph.output]:
        if value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            shapes[value.name] = tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)
    return shapes


def int64(*values: int) -> npt.NDArray[np.int64]:
    """Makes a list of integers as ONNX operators take it."""
    return np.array(values, np.int64)
