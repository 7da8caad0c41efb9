"""Writes the mean over a small channels-last map as a matrix product.

With P = H W pixels, x viewed as [N, P, C] and o the row [1, P] of elements 1 / P:

    ReduceMean(x, map) = o x, viewed as [N, 1, 1, C].

A product runs through ONNX Runtime's vectorised multiplication; its reduction over two axes in front of the
last one does not. The sum's order differs, so last bits may: x is float, and no threshold follows.
"""

import numpy as np
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    MAP_AXES,
    Writer,
    constant_array,
    integer,
    operand,
    replace,
    shape_of,
)
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass

LARGEST_MAP = 256  # pixels; beyond, float32 rounding of 1 / P and of the sum would add up


def _refusal(node: ir.Node) -> str:
    axes, shape = constant_array(operand(node, 1)), shape_of(node.inputs[0])
    if shape is None or len(shape) != 4 or not all(isinstance(size, int) for size in shape[1:]):
        return "the map's size is not known"
    if axes is None or sorted(int(axis) % 4 for axis in axes.reshape(-1)) != list(MAP_AXES):
        return "the axes are not those of a channels-last map"
    if integer(node, "keepdims", 1) != 1:
        return "the axes are not kept"
    if node.inputs[0] is None or node.inputs[0].dtype != ir.DataType.FLOAT:
        return "it is not float32"
    return "the map is large" if int(shape[1]) * int(shape[2]) > LARGEST_MAP else ""


class MeanAsProduct(ExplainedPass):
    """Writes means over channels-last maps as products.

    Precondition: the layout is decided.
    """

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for node in [node for node in graph if node.op_type == "ReduceMean" and node.domain == ""]:
            if refusal := _refusal(node):
                self.note(node, f"the mean stays a reduction: {refusal}", done=False)
                continue
            _write(node)
            self.note(node, "the mean is a product")
            modified = True
        return modified


def _write(node: ir.Node) -> None:
    shape, writer, graph = shape_of(node.inputs[0]), Writer(node), node.graph
    assert shape is not None
    assert graph is not None
    pixels, channels = int(shape[1]) * int(shape[2]), int(shape[3])
    view = writer.node("Reshape", node.inputs[0], writer.constant([-1, pixels, channels], np.int64))
    row = writer.constant(np.full((1, pixels), 1 / pixels, np.float32))
    mean = writer.node("MatMul", row, view, name=node.name)
    target = writer.constant([-1, 1, 1, channels], np.int64)
    replace(node.outputs[0], writer.node("Reshape", mean, target, like=node.outputs[0]))
    graph.remove(node, safe=True)
