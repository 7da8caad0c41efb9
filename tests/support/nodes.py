"""BinaryConv2d nodes as they come in somebody else's file: any attribute, any tensor, none checked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rbnn_deploy.operators import (
    BINARY_CONV2D,
    DOMAIN,
    DOMAIN_VERSION,
    OPERATORS,
    BinaryConv2dAttributes,
)
from rbnn_deploy.runtimes.onnx_runtime import create_session

ATTRIBUTES: dict[str, Any] = BinaryConv2dAttributes(channels=8, pads=(1, 1, 1, 1)).to_dict()


def tensors(seed: int = 0, outputs: int = 4) -> dict[str, np.ndarray]:
    """Draws tensors that fit ATTRIBUTES: X [2, 5, 6, 8], W [outputs, 3, 3, 1], scale and bias [outputs]."""
    rng = np.random.default_rng(seed)
    return {
        "X": rng.standard_normal((2, 5, 6, 8), dtype=np.float32),
        "W": rng.integers(0, 256, (outputs, 3, 3, 1), dtype=np.uint8),
        "scale": rng.standard_normal(outputs, dtype=np.float32),
        "bias": rng.standard_normal(outputs, dtype=np.float32),
    }


def run_node(
    values: Mapping[str, np.ndarray],
    attributes: Mapping[str, Any] = ATTRIBUTES,
    *,
    constants: tuple[str, ...] = ("W", "scale", "bias"),
    threads: int = 1,
) -> np.ndarray:
    """Runs one node; `values` that are no `constants` are fed, with shapes that the model does not state.

    Returns:
        Y.

    Raises:
        Exception: What ONNX Runtime makes of a refusal, when the session is made or when it runs.
    """
    initializers = [numpy_helper.from_array(values[name], name) for name in constants]
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), [f"{name}{i}" for i in range(value.ndim)]
        )
        for name, value in values.items()
        if name not in constants
    ]
    node = helper.make_node(BINARY_CONV2D, list(values), ["Y"], domain=DOMAIN, **attributes)
    output = helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "node", inputs, [output], initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    session = create_session(model, library=True, threads=threads)
    y: np.ndarray = session.run(None, {name: v for name, v in values.items() if name not in constants})[0]
    return y


def run_operator(
    operator: str,
    values: Mapping[str, np.ndarray | None],
    attributes: Mapping[str, Any],
    *,
    threads: int = 1,
    library: bool = True,
    functions: Sequence[onnx.FunctionProto] = (),
) -> np.ndarray:
    """Runs the model of `operator_model_of`.

    Args:
        operator: See there.
        values: See there.
        attributes: See there.
        threads: Of the session.
        library: Whether the operator library is registered.
        functions: Model-local functions.

    Returns:
        Y.
    """
    model = operator_model_of(operator, values, attributes, functions=functions)
    session = create_session(model.SerializeToString(), library=library, threads=threads)
    feeds = {name: value for name, value in values.items() if value is not None and name != "W"}
    y: np.ndarray = session.run(None, feeds)[0]
    return y


def operator_model_of(
    operator: str,
    values: Mapping[str, np.ndarray | None],
    attributes: Mapping[str, Any],
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """Builds a model of one node of any operator of ours, which stores W and is fed all other inputs.

    Args:
        operator: Its name.
        values: The inputs by name, in their order; None stands for an absent one.
        attributes: The node's.
        functions: Model-local functions.
    """
    given = {name: value for name, value in values.items() if value is not None}
    names = [name if name in given else "" for name in values]
    while names[-1] == "":
        names.pop()
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), [f"{name}{i}" for i in range(value.ndim)]
        )
        for name, value in given.items()
        if name != "W"
    ]
    node = helper.make_node(operator, names, ["Y"], domain=DOMAIN, **attributes)
    kind = TensorProto.DataType.Value(OPERATORS[operator].output_dtype.upper())
    output = helper.make_tensor_value_info("Y", kind, None)
    stored = [numpy_helper.from_array(given["W"], "W")] if "W" in given else []
    graph = helper.make_graph([node], "node", inputs, [output], stored)
    opsets = [helper.make_opsetid(*pair) for pair in (("", 18), ("ai.onnx.ml", 3), (DOMAIN, DOMAIN_VERSION))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)
