"""Whether the binary layers of a model are as the operator's specification has them."""

from collections.abc import Mapping

import onnx
from onnx import TensorProto

from rbnn_deploy.binary_conv2d_rules import (
    check_general_input,
    check_per_channel,
    check_weights,
    general_shapes,
)
from rbnn_deploy.model_files.errors import InvalidModelError, quoted
from rbnn_deploy.onnx_graph import binary_conv_attributes, constant_tensors, is_binary_conv
from rbnn_deploy.operators import (
    BINARY_CONV2D,
    OPERATORS,
    GeneralBinaryConv2dAttributes,
    PackedBinaryConv2dAttributes,
)


def check_binary_layers(graph: onnx.GraphProto) -> None:
    """Checks each binary layer's attributes, and its weights where they are stored in the model.

    Raises:
        InvalidModelError: One is not as its page in docs/ops/ says.
    """
    stored = constant_tensors(graph)
    for index, node in enumerate(graph.node):
        if is_binary_conv(node):
            try:
                _check(node, stored)
            except ValueError as error:
                name = quoted(node.name or f"{node.op_type} {index}")
                raise InvalidModelError(f"layer {name}: {node.op_type}: {error}") from None


def _check(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> None:
    attributes = binary_conv_attributes(node)
    for wanted, value in zip(
        OPERATORS[node.op_type].inputs, node.input, strict=False
    ):  # the last may be absent
        if value in stored and stored[value].data_type != TensorProto.DataType.Value(wanted.dtype.upper()):
            raise ValueError(f"{wanted.name} must be {wanted.dtype}")
    if node.op_type == BINARY_CONV2D and not all(node.input):
        # ONNX Runtime before 1.24 crashes over a name that is empty, and an input that is left out has none.
        raise ValueError("its input R has an empty name; leave it out")
    found = dict(zip(OPERATORS[node.op_type].input_names(), node.input, strict=False))
    weights = found["W"]
    if weights not in stored:
        return
    check_weights(stored[weights].dims, attributes)
    for name in ("T",) if isinstance(attributes, PackedBinaryConv2dAttributes) else ("scale", "bias"):
        if found[name] in stored:
            check_per_channel(name, stored[found[name]].dims, stored[weights].dims[0])
    if isinstance(attributes, GeneralBinaryConv2dAttributes):
        for name, full in general_shapes(attributes, stored[weights].dims).items():
            value = found.get(name, "")
            if not value or value in stored:
                check_general_input(name, stored[value].dims if value else None, full)
