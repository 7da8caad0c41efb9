"""Whether the QuantConv2d nodes of a model are as the operator's specification has them."""

from collections.abc import Mapping

import onnx
from onnx import TensorProto

from rbnn_deploy.binary_conv2d_rules import check_per_channel
from rbnn_deploy.model_files.errors import InvalidModelError, quoted
from rbnn_deploy.onnx_graph import constant_tensors, is_quant_conv, quant_conv_attributes
from rbnn_deploy.operators import QUANT_CONV2D_OPERATOR
from rbnn_deploy.quant_conv2d_rules import check_one_element, check_quant_weights


def check_quant_layers(graph: onnx.GraphProto) -> None:
    """Checks each node's attributes, and its weights and factor where they are stored in the model.

    Raises:
        InvalidModelError: One is not as its page in docs/ops/ says.
    """
    stored = constant_tensors(graph)
    for index, node in enumerate(graph.node):
        if is_quant_conv(node):
            try:
                _check(node, stored)
            except ValueError as error:
                name = quoted(node.name or f"{node.op_type} {index}")
                raise InvalidModelError(f"layer {name}: {node.op_type}: {error}") from None


def _check(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> None:
    attributes = quant_conv_attributes(node)
    if not all(node.input):
        # ONNX Runtime before 1.24 crashes over a name that is empty, and an input that is left out has none.
        raise ValueError("its input R has an empty name; leave it out")
    found: dict[str, onnx.TensorProto] = {}
    for wanted, value in zip(QUANT_CONV2D_OPERATOR.inputs, node.input, strict=False):
        if value not in stored:
            continue
        if stored[value].data_type != TensorProto.DataType.Value(wanted.dtype.upper()):
            raise ValueError(f"{wanted.name} must be {wanted.dtype}")
        found[wanted.name] = stored[value]
    if "factor" in found:
        check_one_element("factor", found["factor"].dims)
    if "W" not in found:
        return
    check_quant_weights(found["W"].dims, attributes)
    for name in ("scale", "bias"):
        if name in found:
            check_per_channel(name, found[name].dims, found["W"].dims[0])
