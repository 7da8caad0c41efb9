"""Writes a BatchNormalization that no layer took up as one product and one sum, each rounded once.

Runtimes compute the operator in different ways; m x + a with constants has one result.
"""

import numpy as np
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import Writer, remove, replace, shape_of
from rbnn_deploy.exporters.onnx.layout.handlers.linear import batch_norm_affine
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass


class BatchNormAsSteps(ExplainedPass):
    """Writes constant BatchNormalizations as Mul and Add."""

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for node in [node for node in graph if node.op_type == "BatchNormalization" and node.domain == ""]:
            affine, x, shape = batch_norm_affine(node), node.inputs[0], shape_of(node.inputs[0])
            if affine is None or x is None or shape is None:
                continue
            writer = Writer(node)
            along = (-1, *[1] * (len(shape) - 2))  # the channels are the second axis
            multiplier, offset = (writer.constant(np.reshape(a, along)) for a in affine.rounded())
            scaled = writer.node("Mul", x, multiplier, like=node.outputs[0])
            y = writer.node("Add", scaled, offset, like=node.outputs[0], name=node.name)
            replace(node.outputs[0], y)
            remove([node])
            self.note(node, "a product and a sum")
            modified = True
        return modified
