"""Brings what follows a binary linear layer in front of the view that makes rows of its 1 x 1 map.

    BatchNormalization(Reshape(x)) = Reshape(BatchNormalization(x)),    x [N, O, 1, 1], Reshape(x) [N, O]

to the bit, and likewise for activations. There the layer's epilogue takes them up for nothing.
"""

from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    Writer,
    map_size,
    only_reader,
    producer,
    remove,
    replace,
    shape_of,
)
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass
from rbnn_deploy.exporters.onnx.plain import is_plain_binary_conv

_VIEWS = ("Reshape", "Flatten", "Squeeze")
_POINTWISE = ("BatchNormalization", "Relu", "Clip", "LeakyRelu")


class HoistAboveView(ExplainedPass):
    """Brings BatchNormalization and activations in front of the views behind binary linear layers.

    Precondition: the graph is channels-first.
    """

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for node in [node for node in graph if node.op_type in _VIEWS and node.domain == ""]:
            view = node
            while _flattens_one_pixel(view) and (reader := _reader(view)) is not None:
                self.note(reader, "hoisted in front of the view of rows")
                view = _swap(view, reader)
                modified = True
        return modified


def _flattens_one_pixel(view: ir.Node) -> bool:
    """Tells whether a node views a map of one pixel as rows, of a binary layer and what follows it."""
    value, size = view.inputs[0], map_size(view.inputs[0])
    shape = shape_of(view.outputs[0])
    if value is None or size is None or size[1:] != (1, 1) or only_reader(value) is None:
        return False
    if shape is None or len(shape) != 2 or shape[1] != size[0]:
        return False
    while (node := producer(value)) is not None and node.op_type in _POINTWISE and node.domain == "":
        value = node.inputs[0]
    return node is not None and is_plain_binary_conv(node)


def _reader(view: ir.Node) -> ir.Node | None:
    reader = only_reader(view.outputs[0])
    if reader is None or reader.op_type not in _POINTWISE or reader.domain or reader.graph is not view.graph:
        return None
    return reader if reader.inputs[0] is view.outputs[0] and len(reader.outputs) == 1 else None


def _swap(view: ir.Node, reader: ir.Node) -> ir.Node:
    """Lets the view read what its reader now computes of the map; returns the new view."""
    x, writer = view.inputs[0], Writer(reader)
    assert x is not None
    (computed,) = writer.copy(reader, [x, *reader.inputs[1:]])
    computed.shape, computed.type = x.shape, x.type
    (rows,) = writer.copy(view, [computed, *view.inputs[1:]])
    rows.shape, rows.type = reader.outputs[0].shape, reader.outputs[0].type
    replace(reader.outputs[0], rows)
    remove([reader, view])
    result = rows.producer()
    assert result is not None
    return result
