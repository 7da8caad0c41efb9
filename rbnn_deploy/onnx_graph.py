"""Questions to an ONNX graph as onnx's own messages hold it; needs onnx and NumPy only, as on a device."""

from collections import Counter
from typing import Any

import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from rbnn_deploy.operators import (
    BINARY_CONVOLUTIONS,
    DOMAIN,
    OPERATORS,
    QUANT_CONV2D,
    ConvolutionAttributes,
    QuantConv2dAttributes,
)
from rbnn_deploy.signature import Dimension, Signature, TensorSpec


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Returns a node's attributes by name."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def is_binary_conv(node: onnx.NodeProto) -> bool:
    """Tells whether a node is a binary convolution."""
    return node.domain == DOMAIN and node.op_type in BINARY_CONVOLUTIONS


def is_quant_conv(node: onnx.NodeProto) -> bool:
    """Tells whether a node is a convolution of int8 weights, QuantConv2d."""
    return node.domain == DOMAIN and node.op_type == QUANT_CONV2D


def binary_conv_attributes(node: onnx.NodeProto) -> ConvolutionAttributes:
    """Reads the attributes of a binary convolution.

    Raises:
        ValueError: An attribute is missing or outside its domain.
    """
    found = OPERATORS[node.op_type].attributes.from_mapping(attributes(node))
    assert isinstance(found, ConvolutionAttributes)
    return found


def quant_conv_attributes(node: onnx.NodeProto) -> QuantConv2dAttributes:
    """Reads the attributes of a QuantConv2d.

    Raises:
        ValueError: An attribute is missing or outside its domain.
    """
    return QuantConv2dAttributes.from_mapping(attributes(node))


def constant_tensors(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Returns the graph's constants by name: initializers, and the tensors of Constant nodes."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and "value" in (values := attributes(node)):
            found[node.output[0]] = values["value"]
    return found


def constants(graph: onnx.GraphProto) -> dict[str, npt.NDArray[Any]]:
    """Returns the values of `constant_tensors`."""
    return {name: numpy_helper.to_array(tensor) for name, tensor in constant_tensors(graph).items()}


def real_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Returns the inputs that a caller gives; old files also list their initializers among the inputs."""
    stored = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in stored]


def signature(graph: onnx.GraphProto) -> Signature:
    """Returns what a graph takes and returns."""
    return Signature(tuple(map(_tensor_spec, real_inputs(graph))), tuple(map(_tensor_spec, graph.output)))


def _tensor_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    known = kind.elem_type in helper.get_all_tensor_dtypes()
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type).name if known else ""
    shape: tuple[Dimension, ...] | None = None
    if kind.HasField("shape"):
        shape = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in kind.shape.dim)
    return TensorSpec(value.name, dtype, shape)


def producers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """Returns the node that computes each value, by the value's name."""
    return {name: node for node in graph.node for name in node.output if name}


def uses(graph: onnx.GraphProto) -> Counter[str]:
    """Counts how often each value is read; an output of the graph counts as a reader."""
    return Counter(
        [name for node in graph.node for name in node.input if name]
        + [output.name for output in graph.output]
    )


def dimensions(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Returns a tensor's sizes; None stands for one that is not a number."""
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim)


def properties(model: onnx.ModelProto) -> dict[str, str]:
    """Returns the model's metadata properties."""
    return {entry.key: entry.value for entry in model.metadata_props}
