"""Transposes that only carry axes of size 1 about: a linear layer is a convolution between such ones.

    Transpose (0, 2, 1), Unsqueeze (3), Transpose (0, 2, 3, 1): [N, T, C] -> [N, T, 1, C]

moves no value, so it is one Unsqueeze. A chain of Transpose, Unsqueeze and Squeeze keeps the order of values
in memory if the axes of other sizes than 1 keep theirs.
"""

import numpy as np
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    Writer,
    constant_array,
    ints,
    only_reader,
    operand,
    producer,
    remove,
    replace,
    shape_of,
)
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass

_CHAIN = ("Transpose", "Unsqueeze", "Squeeze")
_ONE = -1  # stands for an axis of size 1 in a list of axes


class DropTransposesOfViews(ExplainedPass):
    """Writes chains of Transpose, Unsqueeze and Squeeze that keep the order of values as views."""

    def run(self, graph: ir.Graph) -> bool:
        """Changes one graph."""
        modified = False
        for last in [node for node in graph if node.op_type in _CHAIN and node.domain == ""]:
            chain = _chain(last)
            if not any(node.op_type == "Transpose" for node in chain):
                continue
            source = chain[0].inputs[0]
            axes = _axes_behind(chain)
            if source is None or axes is None or [axis for axis in axes if axis != _ONE] != _real(source):
                continue
            self.note(last, f"{len(chain)} views and Transposes are one view")
            _write(last, source, axes)
            remove(chain[::-1])
            modified = True
        return modified


def _chain(last: ir.Node) -> list[ir.Node]:
    """Returns the longest chain that ends with a node and gives nothing to others in between."""
    if last.graph is None or _continues(last):
        return []
    chain = [last]
    while (node := producer(chain[0].inputs[0])) is not None and node.op_type in _CHAIN and node.domain == "":
        if only_reader(node.outputs[0]) is None:
            break
        chain.insert(0, node)
    return chain


def _continues(node: ir.Node) -> bool:
    reader = only_reader(node.outputs[0])
    return (
        reader is not None and reader.op_type in _CHAIN and reader.domain == "" and reader.graph is node.graph
    )


def _real(source: ir.Value) -> list[int]:
    """Returns the axes of a value that have other sizes than 1."""
    return [axis for axis, size in enumerate(shape_of(source) or ()) if size != 1]


def _axes_behind(chain: list[ir.Node]) -> list[int] | None:
    """Returns which of the source's axes each axis behind a chain is, or _ONE; None where it is not known."""
    shape = shape_of(chain[0].inputs[0])
    if shape is None:
        return None
    axes = [_ONE if size == 1 else axis for axis, size in enumerate(shape)]
    for node in chain:
        if node.op_type == "Transpose":
            order = ints(node, "perm", tuple(range(len(axes)))[::-1])
            axes = [axes[axis] for axis in order]
            continue
        given = constant_array(operand(node, 1))
        if given is None:
            return None
        rank = len(axes) + (given.size if node.op_type == "Unsqueeze" else 0)
        places = sorted(int(axis) % rank for axis in given.reshape(-1))
        if node.op_type == "Unsqueeze":
            for place in places:
                axes.insert(place, _ONE)
        elif any(axes[place] != _ONE for place in places):
            return None
        else:
            axes = [axis for place, axis in enumerate(axes) if place not in places]
    return axes


def _write(last: ir.Node, source: ir.Value, axes: list[int]) -> None:
    """Writes the views from a source to the result of the last node, in place of that."""
    writer, result = Writer(last), last.outputs[0]
    before = [axis for axis, size in enumerate(shape_of(source) or ()) if size == 1]
    behind = [place for place, axis in enumerate(axes) if axis == _ONE]
    value = source
    if before != behind or len(axes) != len(shape_of(source) or ()):
        if before:
            value = writer.node("Squeeze", value, writer.constant(before, np.int64))
        if behind:
            value = writer.node("Unsqueeze", value, writer.constant(behind, np.int64), name=last.name)
    elif result.is_graph_output():  # it has a name of its own, and so has the source
        value = writer.node("Identity", source)
    if value is not source:
        value.shape, value.type = result.shape, result.type
    replace(result, value)
