"""Lean graph -> file contents: fallback function, metadata, versions, checks."""

import numpy as np
import onnx
from onnxscript import ir

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.function_nodes import function_opsets
from rbnn_deploy.exporters.onnx.functions import binary_conv2d_function
from rbnn_deploy.exporters.onnx.general_function import general_binary_conv2d_function
from rbnn_deploy.exporters.onnx.graph import graphs
from rbnn_deploy.exporters.onnx.packed_functions import (
    pack_signs_function,
    packed_binary_conv2d_function,
    unpack_signs_function,
)
from rbnn_deploy.exporters.onnx.quant_function import quant_conv2d_function
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.operators import (
    BINARY_CONV2D,
    DOMAIN,
    DOMAIN_VERSION,
    GENERAL_BINARY_CONV2D,
    OPERATORS,
    PACK_SIGNS,
    PACKED_BINARY_CONV2D,
    QUANT_CONV2D,
    UNPACK_SIGNS,
)
from rbnn_deploy.topology import PROPERTY
from rbnn_deploy.version import __version__

OLDEST_OPSET = 18  # BitwiseAnd
FUNCTIONS = {
    BINARY_CONV2D: binary_conv2d_function,
    GENERAL_BINARY_CONV2D: general_binary_conv2d_function,
    PACKED_BINARY_CONV2D: packed_binary_conv2d_function,
    PACK_SIGNS: pack_signs_function,
    UNPACK_SIGNS: unpack_signs_function,
    QUANT_CONV2D: quant_conv2d_function,
}
# What changes nothing, by the input's name; 0 for all others.
NEUTRAL = {"pos": 1.0}
NAMES = {0.0: "no_residual", 1.0: "no_slope"}


def check_opset(opset: int) -> None:
    """Checks that a model can be written for a version of ONNX's default domain.

    Raises:
        UserError: It is no integer, too old for the fallback function, or newer than the installed onnx.
    """
    newest = onnx.defs.onnx_opset_version()
    if not isinstance(opset, int) or isinstance(opset, bool):
        raise UserError(f"the opset cannot be {opset!r}; pass an integer from {OLDEST_OPSET} to {newest}")
    if not OLDEST_OPSET <= opset <= newest:
        raise UserError(f"opset {opset} cannot be written; choose one from {OLDEST_OPSET} to {newest}")


def fill_absent_inputs(model: ir.Model) -> None:
    """Passes one element that changes nothing where an input is absent: a function needs all (docs/ops)."""
    neutral: dict[float, ir.Value] = {}
    for node in (node for graph in graphs(model) for node in graph):
        operator = OPERATORS.get(node.op_type) if node.domain == DOMAIN else None
        if operator is None:
            continue
        node.resize_inputs(len(operator.inputs))
        for index, name in enumerate(operator.input_names()):
            if node.inputs[index] is not None:
                continue
            value = NEUTRAL.get(name, 0.0)
            if value not in neutral:
                neutral[value] = _scalar(model, value)
            node.replace_input_with(index, neutral[value])


def _scalar(model: ir.Model, value: float) -> ir.Value:
    name = NAMES[value]
    while name in model.graph.initializers:  # a parameter of the user's
        name += "_"
    scalar = ir.Value(
        name=name,
        const_value=ir.tensor(np.array(value, np.float32), name=name),
        shape=ir.Shape([]),
        type=ir.TensorType(ir.DataType.FLOAT),
    )
    model.graph.register_initializer(scalar)
    return scalar


def finalize(model: ir.Model, metadata: ModelMetadata, opset: int, topology: str) -> onnx.ModelProto:
    """Turns the graph into a checked model.

    The function is attached last, because tools in between would inline or drop it.

    Args:
        model: The lean graph; changed in place.
        metadata: Stored in the model's properties.
        opset: Version of ONNX's default domain that the graph uses.
        topology: The plain graph (rbnn_deploy.topology), stored in the model's properties.

    Returns:
        A model with the oldest IR version that its opset allows (8 for opset 18).

    Raises:
        onnx.checker.ValidationError: The graph is not valid; an error of this program.
    """
    fill_absent_inputs(model)
    used = {node.op_type for graph in graphs(model) for node in graph if node.domain == DOMAIN}
    proto = ir.to_proto(model)
    del proto.opset_import[:]
    proto.opset_import.append(onnx.helper.make_opsetid("", opset))
    proto.opset_import.append(onnx.helper.make_opsetid(DOMAIN, DOMAIN_VERSION))
    proto.opset_import.extend(function_opsets())
    proto.ir_version = onnx.helper.find_min_ir_version_for(proto.opset_import, ignore_unknown=True)
    proto.producer_name, proto.producer_version = "rbnn-deploy", __version__
    proto.graph.name = metadata.architecture
    del proto.functions[:]
    proto.functions.extend(FUNCTIONS[name](opset) for name in OPERATORS if name in used)
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {**metadata.to_properties(), PROPERTY: topology})
    onnx.checker.check_model(proto, full_check=True)
    return proto
