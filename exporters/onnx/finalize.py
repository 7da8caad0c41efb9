"""Lean graph -> file contents: fallback function, metadata, versions, checks."""

import numpy as np
import onnx
from onnxscript import ir

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.function_nodes import function_opsets
from rbnn_deploy.exporters.onnx.functions import binary_conv2d_function
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.operators import BINARY_CONV2D, BINARY_CONV2D_OPERATOR, DOMAIN, DOMAIN_VERSION
from rbnn_deploy.topology import PROPERTY
from rbnn_deploy.version import __version__

OLDEST_OPSET = 18  # BitwiseAnd
NO_RESIDUAL = "no_residual"


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


def _give_every_layer_a_residual(model: ir.Model) -> None:
    """Passes one 0 as R where there is no residual: a function's inputs cannot be absent (functions.py)."""
    zero: ir.Value | None = None
    inputs = len(BINARY_CONV2D_OPERATOR.inputs)
    name = NO_RESIDUAL
    while name in model.graph.initializers:  # a parameter of the user's
        name += "_"
    for node in [node for graph in model.graphs() for node in graph]:
        if node.op_type != BINARY_CONV2D or len(node.inputs) == inputs:
            continue
        if zero is None:
            tensor = ir.tensor(np.zeros((), np.float32), name=name)
            zero = ir.Value(
                name=name,
                const_value=tensor,
                shape=ir.Shape([]),
                type=ir.TensorType(ir.DataType.FLOAT),
            )
            model.graph.register_initializer(zero)
        node.resize_inputs(inputs)
        node.replace_input_with(inputs - 1, zero)


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
    _give_every_layer_a_residual(model)
    proto = ir.to_proto(model)
    del proto.opset_import[:]
    proto.opset_import.append(onnx.helper.make_opsetid("", opset))
    proto.opset_import.append(onnx.helper.make_opsetid(DOMAIN, DOMAIN_VERSION))
    proto.opset_import.extend(function_opsets())
    proto.ir_version = onnx.helper.find_min_ir_version_for(proto.opset_import, ignore_unknown=True)
    proto.producer_name, proto.producer_version = "rbnn-deploy", __version__
    proto.graph.name = metadata.architecture
    del proto.functions[:]
    proto.functions.append(binary_conv2d_function(opset))
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {**metadata.to_properties(), PROPERTY: topology})
    onnx.checker.check_model(proto, full_check=True)
    return proto
