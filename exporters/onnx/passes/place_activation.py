"""Places the activation behind a float convolution where it costs least.

Clip and Relu do not decrease and round nothing, so they commute with a maximum, to the bit (NaN aside: a
maximum's NaN is not defined), and with any reordering. So along a chain

    Conv, then MaxPool and Transpose in any order and number, with one activation somewhere,

the activation may stand anywhere. It costs nothing directly behind a convolution that is quantised, where it
is the range of the quantised output. In float32 ONNX Runtime fuses a Relu into the convolution for nothing; a
Clip it runs as a pass of its own, which is cheapest where the map is smallest.
"""

from collections.abc import Set

from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import constant_array, is_map, only_reader, replace
from rbnn_deploy.exporters.onnx.layout.choose import transposed_bytes
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass


class PlaceActivation(ExplainedPass):
    """Moves activations along the chains behind float convolutions.

    Precondition: the layout is decided, and so is which convolutions become int8.

    Args:
        quantized: The convolutions that will be quantised.
    """

    def __init__(self, quantized: Set[ir.Node] = frozenset()) -> None:
        super().__init__()
        self._quantized = quantized

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for conv in [node for node in graph if node.op_type == "Conv" and node.domain == ""]:
            activation, values = _chain(conv)
            if activation is None:
                continue
            target = values[0]
            if conv not in self._quantized and activation.op_type == "Clip":
                smallest = min(map(_size, values))
                target = [value for value in values if _size(value) == smallest][-1]
                source = activation.inputs[0]
                assert source is not None
                if _size(source) == smallest:
                    continue
            if target is activation.inputs[0]:
                continue
            _move(activation, target)
            where = "behind the convolution" if target is values[0] else "where its map is smallest"
            self.note(conv, f"placed {where}: {activation.op_type}")
            modified = True
        return modified


def _size(value: ir.Value) -> int:
    return transposed_bytes(value)


def _chain(conv: ir.Node) -> tuple[ir.Node | None, list[ir.Value]]:
    """Returns the first activation of a chain, and the values behind which it may stand."""
    activation, value = None, conv.outputs[0]
    values = [value] if is_map(value) else []
    while values and (node := only_reader(value)) is not None and node.graph is conv.graph:
        if node.op_type in ("Clip", "Relu") and activation is None and _is_activation_of(node, value):
            activation, value = node, node.outputs[0]
        elif node.op_type in ("MaxPool", "Transpose") and len(node.outputs) == 1 and is_map(node.outputs[0]):
            value = node.outputs[0]
            values.append(value)
        else:
            break
    return activation, values


def _is_activation_of(node: ir.Node, value: ir.Value) -> bool:
    bounds = [bound for bound in node.inputs[1:] if bound is not None]
    return node.inputs[0] is value and all(constant_array(bound) is not None for bound in bounds)


def _move(activation: ir.Node, target: ir.Value) -> None:
    """Moves an activation behind a value of its chain."""
    source, result, graph, origin = (
        activation.inputs[0],
        activation.outputs[0],
        activation.graph,
        target.producer(),
    )
    assert source is not None
    assert graph is not None
    assert origin is not None
    replace(result, source)
    graph.remove(activation)
    graph.insert_after(origin, activation)
    for use in list(target.uses()):
        if use.node is not activation:
            use.node.replace_input_with(use.idx, result)
    if target.is_graph_output():
        replace(target, result)
    activation.replace_input_with(0, target)
    result.shape, result.type = target.shape, target.type
