"""Channel shuffles: three nodes that mix axes, taken as one operator while the layout is decided.

    Reshape [N, C, H, W] -> [N, g, C / g, H, W], Transpose (0, 2, 1, 3, 4), Reshape -> [N, C, H, W]

is, channels-last, Reshape -> [N, H, W, g, C / g], Transpose (0, 1, 2, 4, 3), Reshape -> [N, H, W, C].
"""

from collections.abc import Sequence

import numpy as np
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    Writer,
    integer,
    ints,
    map_size,
    only_reader,
    remove,
    replace,
    same_shape,
    shape_of,
)
from rbnn_deploy.exporters.onnx.layout.handler import Handler, Site
from rbnn_deploy.exporters.onnx.plain import PLAIN_DOMAIN

CHANNEL_SHUFFLE = "ChannelShuffle"
_SWAP_GROUPS = (0, 2, 1, 3, 4)


def is_channel_shuffle(node: ir.Node) -> bool:
    """Tells whether a node is a channel shuffle of this module."""
    return node.domain == PLAIN_DOMAIN and node.op_type == CHANNEL_SHUFFLE


def raise_channel_shuffles(graph: ir.Graph) -> None:
    """Makes one node of each channel shuffle, in place."""
    for last in [node for node in graph if node.op_type == "Reshape"]:
        chain = _chain(last)
        if chain is None:
            continue
        x, groups = chain
        y = Writer(last).node(
            CHANNEL_SHUFFLE, x, domain=PLAIN_DOMAIN, name=last.name, like=last.outputs[0], groups=groups
        )
        transpose = last.inputs[0].producer() if last.inputs[0] is not None else None
        assert transpose is not None
        first = transpose.inputs[0].producer() if transpose.inputs[0] is not None else None
        assert first is not None
        replace(last.outputs[0], y)
        remove([last, transpose, first])


def _chain(last: ir.Node) -> tuple[ir.Value, int] | None:
    """Returns what the three nodes that end here shuffle, and into how many groups; None for others."""
    transpose = last.inputs[0].producer() if last.inputs[0] is not None else None
    if transpose is None or transpose.op_type != "Transpose" or ints(transpose, "perm") != _SWAP_GROUPS:
        return None
    first = transpose.inputs[0].producer() if transpose.inputs[0] is not None else None
    if first is None or first.op_type != "Reshape" or first.inputs[0] is None:
        return None
    x, split = first.inputs[0], shape_of(first.outputs[0])
    size = map_size(x)
    if size is None or split is None or len(split) != len(_SWAP_GROUPS) or split[3:] != size[1:]:
        return None
    if not isinstance(split[1], int) or not same_shape(x, last.outputs[0]):
        return None
    if any(only_reader(node.outputs[0]) is None for node in (first, transpose)):
        return None
    return x, split[1]


def _write(
    writer: Writer, x: ir.Value, node: ir.Node, shapes: Sequence[Sequence[int]], perm: Sequence[int]
) -> ir.Value:
    split = writer.node("Reshape", x, writer.constant(shapes[0], np.int64))
    swapped = writer.node("Transpose", split, perm=list(perm))
    return writer.node("Reshape", swapped, writer.constant(shapes[1], np.int64), name=node.name)


def _sizes(node: ir.Node) -> tuple[int, int, int, int]:
    size = map_size(node.inputs[0])
    assert size is not None
    return (integer(node, "groups", 1), *size)


def lower_channel_shuffle(node: ir.Node) -> None:
    """Writes a channel shuffle that stays channels-first as its three nodes, in place."""
    groups, channels, height, width = _sizes(node)
    x, graph = node.inputs[0], node.graph
    assert x is not None
    assert graph is not None
    shapes = ((-1, groups, channels // groups, height, width), (-1, channels, height, width))
    y = _write(Writer(node), x, node, shapes, _SWAP_GROUPS)
    y.shape, y.type = node.outputs[0].shape, node.outputs[0].type
    replace(node.outputs[0], y)
    graph.remove(node, safe=True)


def _channels_last(site: Site) -> list[ir.Value]:
    groups, channels, height, width = _sizes(site.node)
    shapes = ((-1, height, width, groups, channels // groups), (-1, height, width, channels))
    return [_write(site.writer, site.map(), site.node, shapes, (0, 1, 2, 4, 3))]


HANDLER = Handler(_channels_last)
