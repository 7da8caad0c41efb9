"""Lets layers of int8 weights read channels-first maps themselves, in place of a Transpose."""

from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import TO_CHANNELS_LAST, ints, remove
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass
from rbnn_deploy.exporters.onnx.plain import is_quant_conv
from rbnn_deploy.operators import QUANT_CONV2D_OPERATOR

X = QUANT_CONV2D_OPERATOR.index("X")


class ReadChannelsFirst(ExplainedPass):
    """Takes away Transposes that only layers of int8 weights read.

    Precondition: the layout is decided.
    """

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for transpose in [node for node in graph if node.op_type == "Transpose" and node.domain == ""]:
            last, uses = transpose.outputs[0], list(transpose.outputs[0].uses())
            if ints(transpose, "perm") != TO_CHANNELS_LAST or last.is_graph_output() or not uses:
                continue
            if not all(use.idx == X and is_quant_conv(use.node) for use in uses):
                continue
            for node in [use.node for use in uses]:
                node.replace_input_with(X, transpose.inputs[0])
                node.attributes["layout"] = ir.AttrString("layout", "channels_first")
                self.note(node, "reads its channels-first input itself")
            remove([transpose])
            modified = True
        return modified
