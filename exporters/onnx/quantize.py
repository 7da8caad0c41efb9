"""Quantises the float layers of a deployed model to int8, by ONNX Runtime's quantiser.

Which layers, and how the graph is arranged for integers, is decided before (`passes/int8.py`, `optimize.py`).
Binary layers, their names, functions and the model's metadata stay, and so do the float32 activations between
them. Two things are particular:

1. MatMul and Gemm leave their output in float: the integer product scales it for nothing.
2. ONNX Runtime gives each reader of a dequantised value a DequantizeLinear of its own: a binary layer that
   reads the stem as input and as residual would have it converted, and fetched from memory, twice. Flatten
   and Reshape, two views of the same memory, make one reader of them.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from rbnn_deploy.exporters.onnx.passes.int8 import BETWEEN, LAYERS
from rbnn_deploy.onnx_graph import producers, uses
from rbnn_deploy.ort_quantizer import quantize_static
from rbnn_deploy.shape_inference import static_shapes


def quantize_layers(
    model: onnx.ModelProto, names: Sequence[str], calibration: Iterable[npt.NDArray[np.float32]]
) -> onnx.ModelProto:
    """Quantises some nodes of a deployed model.

    Args:
        model: A deployed model; it is not changed.
        names: Of the nodes.
        calibration: Images as the model takes them, float32 [n, C, H, W] each, which show the range of each
            activation. They run through the model's functions, without the operator library.

    Returns:
        The model with QuantizeLinear and DequantizeLinear around these nodes, which a runtime fuses into
        integer kernels; opsets, IR version, functions and metadata as before.

    Raises:
        UserError: There is no image.
    """
    quantized = quantize_static(
        model,
        calibration,
        op_types_to_quantize=[*LAYERS, *BETWEEN],
        nodes_to_quantize=list(names),
        extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]},
    )
    _dequantize_once(quantized)
    return quantized


def _dequantize_once(model: onnx.ModelProto) -> None:
    """Puts views behind channels-last values that are dequantised and read twice (rule 2), in place."""
    graph, shapes, made_by, readers = (
        model.graph,
        static_shapes(model),
        producers(model.graph),
        uses(model.graph),
    )
    for node in list(graph.node):
        source = made_by.get(node.input[0]) if node.op_type == "Transpose" else None
        value = node.output[0]
        shape = shapes.get(value, ())[1:]
        if source is None or source.op_type != "DequantizeLinear" or readers[value] < 2:
            continue
        if len(shape) != 3 or not all(shape):
            continue
        first, flat, target = f"{value}.dequantized", f"{value}.flat", f"{value}.shape"
        node.output[0] = first
        graph.initializer.append(numpy_helper.from_array(np.array([-1, *shape], np.int64), target))
        index = list(graph.node).index(node) + 1
        graph.node.insert(index, helper.make_node("Reshape", [flat, target], [value], name=f"{value}.view"))
        graph.node.insert(index, helper.make_node("Flatten", [first], [flat], name=flat, axis=3))
