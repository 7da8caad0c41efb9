"""Which values of a QONNX graph hold two levels only, -s and +s, and where only their signs are read."""

from collections.abc import Mapping

import numpy as np
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import constant_array, only_reader, operand, text
from rbnn_deploy.exporters.onnx.plain import is_plain_binary_conv
from rbnn_deploy.exporters.qonnx.domain import BIPOLAR_QUANT
from rbnn_deploy.exporters.qonnx.quantizers import is_quantizer, scale_of

# These move or choose elements, so they keep the levels; and each commutes with the sign: the sign of a
# window's maximum is the maximum of its signs.
CARRIERS = ("MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Concat", "Pad")


def two_levels(graph: ir.Graph) -> dict[ir.Value, float]:
    """Finds the values of two levels.

    Args:
        graph: Whose quantisers are normalised.

    Returns:
        s > 0, by the value.
    """
    levels: dict[ir.Value, float] = {}
    for node in graph:
        level = _level(node, levels)
        if level is not None:
            levels[node.outputs[0]] = level
    return levels


def _level(node: ir.Node, levels: Mapping[ir.Value, float]) -> float | None:
    if is_quantizer(node, BIPOLAR_QUANT):
        sizes = np.abs(scale_of(node))
        return float(sizes.flat[0]) if (sizes == sizes.flat[0]).all() else None
    if node.domain or node.op_type not in CARRIERS:
        return None
    data = node.inputs if node.op_type == "Concat" else node.inputs[:1]
    found = {None if value is None else levels.get(value) for value in data}
    level = found.pop()
    if found or level is None:
        return None
    if node.op_type == "Pad":
        filled = constant_array(operand(node, 2))
        kept = text(node, "mode", "constant") == "constant" and filled is not None and abs(filled) == level
        return level if kept else None
    return level


def only_signs_are_read(value: ir.Value) -> bool:
    """Tells whether all readers of a value are binary layers or BipolarQuants, which take its sign."""
    if value.is_graph_output() or not list(value.uses()):
        return False
    return all(_reads_signs(node, index) for node, index in value.uses())


def _reads_signs(node: ir.Node, index: int) -> bool:
    if is_quantizer(node, BIPOLAR_QUANT):
        return index == 0
    if is_plain_binary_conv(node):
        return index == 0 and text(node, "threshold") == "zero"
    if node.domain or node.op_type not in CARRIERS or (index and node.op_type != "Concat"):
        return False
    return only_signs_are_read(node.outputs[0]) and not any(other.uses() for other in node.outputs[1:])


def skip_quantizers(graph: ir.Graph) -> None:
    """Lets binary layers take the sign themselves where nobody else reads it, in place.

    Preconditions of a quantiser: only signs of its result are read, and its scale is positive.
    """
    for node in [node for node in graph if is_quantizer(node, BIPOLAR_QUANT)]:
        x = operand(node, 0)
        if x is not None and (scale_of(node) > 0).all() and only_signs_are_read(node.outputs[0]):
            node.outputs[0].replace_all_uses_with(x)
            graph.remove(node, safe=True)


def take_sample_means(graph: ir.Graph) -> None:
    """Makes `sample_mean` of a mean that is subtracted in front of a binary layer, as we write it, in place.

    Sub(X, Cast(ReduceMean(Cast(X, double)), float)) over all axes but the first.
    """
    for conv in [node for node in graph if is_plain_binary_conv(node)]:
        difference = conv.inputs[0].producer() if conv.inputs[0] is not None else None
        x = None if difference is None else _minuend(difference)
        if x is not None and text(conv, "threshold") == "zero":
            conv.replace_input_with(0, x)
            conv.attributes["threshold"] = ir.AttrString("threshold", "sample_mean")


def _minuend(node: ir.Node) -> ir.Value | None:
    """Returns the value from which a node subtracts its sample's mean; None for other nodes."""
    x, way = operand(node, 0), operand(node, 1)
    kinds = ("Cast", ir.DataType.FLOAT), ("ReduceMean", None), ("Cast", ir.DataType.DOUBLE)
    if node.domain or node.op_type != "Sub":
        return None
    for op_type, to in kinds:
        maker = None if way is None else way.producer()
        if maker is None or maker.domain or maker.op_type != op_type:
            return None
        if to is not None and maker.attributes["to"].as_int() != to:
            return None
        if op_type == "ReduceMean":
            axes = constant_array(operand(maker, 1))
            keepdims = maker.attributes.get("keepdims")
            if axes is None or sorted(axes.tolist()) != [1, 2, 3] or (keepdims and not keepdims.as_int()):
                return None
        way = operand(maker, 0)
    return x if way is x else None


def reader_of(value: ir.Value, graph: ir.Graph) -> ir.Node | None:
    """Returns the one standard node that reads a value in this graph; None where there is none or several."""
    node = only_reader(value)
    return None if node is None or node.domain or node.graph is not graph else node
