"""The decision which float layers become int8: those that get faster, and what lies between them."""

import math

from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import constant_array, operand, shape_of

# Below, quantising costs more than integers save; measured, see docs/benchmarking.md.
SMALLEST_WINDOW = 64  # weights of one output channel of a convolution
SMALLEST_PRODUCT = 1 << 16  # multiplications of MatMul or Gemm for one sample
LAYERS = ("Conv", "MatMul", "Gemm")
BETWEEN = ("MaxPool", "Clip", "Relu")


def int8_layers(graph: ir.Graph) -> set[ir.Node]:
    """Returns the nodes to quantise; none at all where no layer gains."""
    layers = {node for node in graph if node.domain == "" and node.op_type in LAYERS and _gains(node)}
    between = {node for node in graph if node.domain == "" and node.op_type in BETWEEN}
    return layers | between if layers else set()


def _gains(node: ir.Node) -> bool:
    weight = constant_array(operand(node, 1))
    if weight is None:
        return False
    if node.op_type == "Conv":
        return math.prod(weight.shape[1:]) >= SMALLEST_WINDOW
    shape = shape_of(node.inputs[0]) or ()
    rows = math.prod(size if isinstance(size, int) else 1 for size in shape[1:-1])  # products for one sample
    return rows * weight.size >= SMALLEST_PRODUCT
