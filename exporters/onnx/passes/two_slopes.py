"""Two slopes, one on either side of 0, as torch exports them: y = Where(x < 0, below, above) x.

A maximum commutes with them where no slope is negative, to the bit, because rounding is monotone as well (the
sign of a zero aside). So behind a float convolution they run behind its MaxPool, on the smaller map. Behind a
binary convolution they cost nothing, and stay.
"""

from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import constant_array, only_reader
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass


@dataclass(frozen=True)
class TwoSlopes:
    """The nodes that apply two slopes.

    Attributes:
        less: The comparison with 0.
        choice: The Where.
        product: Its product with the input.
        below: The slope of negative values.
        above: The slope of all others.
    """

    less: ir.Node
    choice: ir.Node
    product: ir.Node
    below: ir.Value | None
    above: ir.Value | None


def find_two_slopes(x: ir.Value) -> TwoSlopes | None:
    """Finds two slopes that are the only readers of a value."""
    readers = [use.node for use in x.uses()]
    less = next((node for node in readers if node.op_type == "Less" and not node.domain), None)
    choice = None if less is None else only_reader(less.outputs[0])
    product = None if choice is None else only_reader(choice.outputs[0])
    if less is None or choice is None or product is None or x.is_graph_output():
        return None
    zero = constant_array(less.inputs[1])
    if (
        (choice.op_type, product.op_type, len(readers)) != ("Where", "Mul", 2)
        or set(readers) != {less, product}
        or choice.inputs[0] is not less.outputs[0]
        or less.inputs[0] is not x
        or zero is None
        or zero.size != 1
        or zero.item() != 0
    ):
        return None
    return TwoSlopes(less, choice, product, choice.inputs[1], choice.inputs[2])


class SlopesBehindMaxPool(ExplainedPass):
    """Moves two slopes behind a float convolution to where the map is smaller.

    Precondition: the graph is channels-first.
    """

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for conv in [node for node in graph if node.op_type == "Conv" and node.domain == ""]:
            x = conv.outputs[0]
            slopes = find_two_slopes(x)
            pool = None if slopes is None else only_reader(slopes.product.outputs[0])
            if slopes is None or pool is None or pool.op_type != "MaxPool" or pool.domain != "":
                continue
            if len(pool.outputs) != 1 or pool.outputs[0].is_graph_output():
                continue
            arrays = [constant_array(value) for value in (slopes.below, slopes.above)]
            if any(array is None or not (array >= 0).all() or np.isinf(array).any() for array in arrays):
                self.note(
                    conv, "not moved behind its MaxPool: two slopes, one of which is negative", done=False
                )
                continue
            _move_behind(pool, x, slopes)
            self.note(conv, "moved behind its MaxPool: two slopes")
            modified = True
        return modified


def _move_behind(pool: ir.Node, x: ir.Value, slopes: TwoSlopes) -> None:
    graph, pooled, result = pool.graph, pool.outputs[0], slopes.product.outputs[0]
    assert graph is not None
    for use in list(pooled.uses()):
        use.node.replace_input_with(use.idx, result)
    pool.replace_input_with(0, x)
    nodes = (slopes.less, slopes.choice, slopes.product)
    for node in nodes:
        for index, value in enumerate(node.inputs):
            if value is x:
                node.replace_input_with(index, pooled)
        graph.remove(node)
        node.outputs[0].shape = pooled.shape
    graph.insert_after(pool, nodes)
