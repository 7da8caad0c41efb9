"""Writes a pair of Relus with slopes as one choice between two slopes (`two_slopes`), which layers take up.

    b Relu(x) - a Relu(-x) = Where(x < 0, a, b) x,    a and b finite and per channel

to the bit, the sign of a zero aside: one of the two terms is zero, and products have the sign rule. It is how
AdaBin's code writes its activation.
"""

import numpy as np
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import Writer, constant_array, only_reader, producer, replace
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass


class ReluPairAsSlopes(ExplainedPass):
    """Writes pairs of Relus with constant slopes as a comparison, a choice and a product."""

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for node in [node for node in graph if node.op_type == "Sub" and node.domain == ""]:
            above, below = _scaled_relu(node.inputs[0]), _scaled_relu(node.inputs[1])
            if above is None or below is None:
                continue
            negated = producer(below[1])
            if negated is None or (negated.op_type, negated.domain) != ("Neg", ""):
                continue
            x = above[1]
            if negated.inputs[0] is not x or only_reader(negated.outputs[0]) is None:
                continue
            writer = Writer(node)
            less = writer.node("Less", x, writer.constant(np.zeros((), np.float32)))
            less.shape, less.type = x.shape, ir.TensorType(ir.DataType.BOOL)
            slope = writer.node("Where", less, below[0], above[0], like=x)
            result = writer.node("Mul", slope, x, like=node.outputs[0], name=node.name)
            replace(node.outputs[0], result)
            graph.remove(node, safe=True)
            self.note(result.producer() or node, "written as a choice between two slopes")
            modified = True
        return modified


def _scaled_relu(value: ir.Value | None) -> tuple[ir.Value, ir.Value] | None:
    """Returns slopes and input of a Relu with slopes that one node reads; None for anything else."""
    product = producer(value)
    if value is None or product is None or (product.op_type, product.domain) != ("Mul", ""):
        return None
    for index in (0, 1):
        slopes, relu = product.inputs[index], producer(product.inputs[1 - index])
        array = constant_array(slopes)
        if slopes is None or array is None or relu is None or (relu.op_type, relu.domain) != ("Relu", ""):
            continue
        x = relu.inputs[0]
        alone = only_reader(value) is not None and only_reader(relu.outputs[0]) is product
        if x is not None and alone and array.dtype == np.float32 and np.isfinite(array).all():
            return slopes, x
    return None
