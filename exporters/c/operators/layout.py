"""Sizes of operators that slide a window over a map, and the steps through maps of either layout."""

from __future__ import annotations

from rbnn_deploy.exporters.c.graph import Graph, Node, UnsupportedNodeError


def window_geometry(graph: Graph, node: Node, kernel: tuple[int, int]) -> dict[str, int]:
    """Returns the members that describe a Conv's or a pool's window and its maps.

    Raises:
        UnsupportedNodeError: The map is not [N, C, H, W], or padding is given by a rule.
    """
    node.require("auto_pad", "NOTSET", "")
    value, result = node.inputs[0], node.outputs[0]
    if len(graph.shape(value)) != 4:
        raise UnsupportedNodeError("is not of a map with two axes")
    _, C, H, W = graph.shape(value)
    _, outputs, OH, OW = graph.shape(result)
    strides = node.attributes.get("strides") or [1, 1]
    dilations = node.attributes.get("dilations") or [1, 1]
    top, left, _, _ = node.attributes.get("pads") or [0, 0, 0, 0]
    in_channel, in_pixel = map_steps(graph, value)
    out_channel, out_pixel = map_steps(graph, result)
    return {
        "height": H, "width": W, "channels": C,
        "out_height": OH, "out_width": OW, "outputs": outputs,
        "kernel_height": kernel[0], "kernel_width": kernel[1],
        "stride_y": strides[0], "stride_x": strides[1],
        "pad_top": top, "pad_left": left,
        "dilation_y": dilations[0], "dilation_x": dilations[1],
        "in_channel": in_channel, "in_pixel": in_pixel,
        "out_channel": out_channel, "out_pixel": out_pixel,
    }  # fmt: skip


def map_steps(graph: Graph, value: str) -> tuple[int, int]:
    """Returns how far apart the channels and the pixels of a map [N, C, H, W] lie in memory."""
    _, C, H, W = graph.shape(value)
    return (1, C) if value in graph.channels_last else (H * W, 1)
