"""Writes PReLU as maximum, minimum and product, which ONNX Runtime computes several times faster.

PRelu(x, a) = max(x, 0) + a min(x, 0), to the bit: one of the two terms is always zero.
"""

import numpy as np
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import Writer, constant_array, operand, replace
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass


class PreluAsMinMax(ExplainedPass):
    """Writes float32 PRelu nodes with constant finite slopes as simpler operators."""

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for node in [node for node in graph if node.op_type == "PRelu" and node.domain == ""]:
            x, slope = node.inputs[0], constant_array(operand(node, 1))
            if x is None or slope is None or slope.dtype != np.float32 or not np.isfinite(slope).all():
                self.note(node, "stays PRelu: its slopes are not finite float32 constants", done=False)
                continue
            writer = Writer(node)
            negative = writer.node("Min", x, writer.constant(np.zeros((), np.float32)), like=x)
            scaled = writer.node("Mul", negative, node.inputs[1], like=x)
            result = writer.node("Add", writer.node("Relu", x, like=x), scaled, like=x, name=node.name)
            replace(node.outputs[0], result)
            graph.remove(node, safe=True)
            self.note(node, "written as maximum, minimum and product")
            modified = True
        return modified
