"""A model of one node of ours, to run an operator by itself in any runtime."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from rbnn_deploy.bits import packed_size
from rbnn_deploy.operators import (
    DOMAIN,
    DOMAIN_VERSION,
    OPERATORS,
    BinaryConv2dAttributes,
    ConvolutionAttributes,
)

# The oldest versions that the fallback function can be written in, so that old runtimes take the model.
OPSETS = {"": 18, "ai.onnx.ml": 3, DOMAIN: DOMAIN_VERSION}
IR_VERSION = 8


def operator_model(
    W: npt.NDArray[np.uint8],
    scale: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    attributes: BinaryConv2dAttributes,
    *,
    residual: bool = True,
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """Builds a model of one BinaryConv2d; its inputs are X and, if there is a residual, R, its output is Y.

    Args:
        W: uint8 [O, KH, KW, ceil(C / groups / 8)], stored in the model as are scale and bias.
        scale: float32 [O].
        bias: float32 [O].
        attributes: Written on the node.
        residual: Whether the node has its fifth input. A function needs it.
        functions: Model-local functions, for a runtime without the operator library.
    """
    constants: dict[str, npt.NDArray[Any]] = {"W": W, "scale": scale, "bias": bias}
    return node_model(attributes, constants, residual=residual, functions=functions)


def node_model(
    attributes: ConvolutionAttributes,
    constants: Mapping[str, npt.NDArray[Any]],
    *,
    residual: bool = True,
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """Builds a model of one node of any binary convolution.

    Args:
        attributes: Written on the node; their table says the operator.
        constants: The inputs that are stored in the model, by name.
        residual: Whether R is an input of the model.
        functions: See `operator_model`.
    """
    names = OPERATORS[attributes.operator].input_names()
    computed = {"X"} | ({"R"} if residual else set())
    given = [name if name in computed or name in constants else "" for name in names]
    while not given[-1]:
        given.pop()
    inputs = [map_value("X", attributes)]
    if residual:
        inputs.append(helper.make_tensor_value_info("R", TensorProto.FLOAT, None))
    node = helper.make_node(attributes.operator, given, ["Y"], domain=DOMAIN, **attributes.to_dict())
    graph = helper.make_graph(
        [node],
        attributes.operator,
        inputs,
        [helper.make_tensor_value_info("Y", _element(OPERATORS[attributes.operator].output_dtype), None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name not in computed],
    )
    return helper.make_model(
        graph,
        functions=functions,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
        ir_version=IR_VERSION,
    )


def map_value(name: str, attributes: ConvolutionAttributes) -> onnx.ValueInfoProto:
    """Describes the map that a binary convolution takes as X: floats or packed bits, of any size."""
    dtype = OPERATORS[attributes.operator].inputs[0].dtype
    last = attributes.channels if dtype == "float" else packed_size(attributes.channels)
    return helper.make_tensor_value_info(name, _element(dtype), ["N", "H", "W_in", last])


def _element(dtype: str) -> int:
    return int(TensorProto.DataType.Value(dtype.upper()))
