"""Pools. ONNX's pooling operators know channels-first only; what can be written without them moves.

1. AveragePool whose window is the whole map is the mean over the map.
2. MaxPool with stride = window (kh, kw) that divides the map: the rows are viewed as [N OH, kh, W C], whose
   maximum over axis 1 is viewed as [N OH OW, kw, C], whose maximum over axis 1 is the result. Both views are
   free, and each maximum runs along contiguous memory.

All other pools stay. An overlapping MaxPool can be written as maxima over strided slices, or as two pools
over views, and an AveragePool that tiles the map as two means: each is 1.5 to 10 times slower in ONNX Runtime
than its pool between two Transposes (docs/layout.md).
"""

import numpy as np
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import MAP_AXES, integer, ints, map_size, text
from rbnn_deploy.exporters.onnx.layout.handler import Handler, Site


def has_plain_windows(node: ir.Node) -> bool:
    """Tells whether a pool neither pads by a rule, nor dilates, nor returns indices."""
    return (
        text(node, "auto_pad", "NOTSET") in ("NOTSET", "VALID")
        and all(step == 1 for step in ints(node, "dilations"))
        and len(node.outputs) == 1
    )


def is_plain_pool(node: ir.Node) -> bool:
    """Tells whether a pool has plain windows, and no padding."""
    return has_plain_windows(node) and not any(ints(node, "pads"))


def _max_pool_refusal(node: ir.Node) -> str:
    size, kernel = map_size(node.inputs[0]), ints(node, "kernel_shape")
    if size is None:
        return "the map's size is not known"
    if not is_plain_pool(node):
        return "it pads, dilates or returns indices"
    if ints(node, "strides", (1,) * len(kernel)) != kernel:
        return "its windows overlap or leave gaps, where ONNX Runtime is faster channels-first"
    if any(extent % window for extent, window in zip(size[1:], kernel, strict=True)):
        return "its windows do not divide the map"
    return ""


def _max_pool(site: Site) -> list[ir.Value]:
    size = map_size(site.node.inputs[0])
    assert size is not None
    channels, height, width = size
    kh, kw = ints(site.node, "kernel_shape")
    one = site.writer.constant([1], np.int64)

    def view(value: ir.Value, *sizes: int) -> ir.Value:
        return site.writer.node("Reshape", value, site.writer.constant(sizes, np.int64))

    rows = site.writer.node("ReduceMax", view(site.map(), -1, kh, width * channels), one, keepdims=0)
    columns = site.writer.node(
        "ReduceMax", view(rows, -1, kw, channels), one, keepdims=0, name=site.node.name
    )
    return [view(columns, -1, height // kh, width // kw, channels)]


def _average_pool_refusal(node: ir.Node) -> str:
    size = map_size(node.inputs[0])
    if size is None or size[1:] != ints(node, "kernel_shape") or not is_plain_pool(node):
        return "its window is not the whole map, where ONNX Runtime is faster channels-first"
    return "" if not integer(node, "ceil_mode", 0) else "it rounds the map's size up"


def _average_pool(site: Site) -> list[ir.Value]:
    axes = site.writer.constant(MAP_AXES, np.int64)
    return [site.writer.node("ReduceMean", site.map(), axes, name=site.node.name, keepdims=1)]


HANDLERS = {
    "AveragePool": Handler(_average_pool, _average_pool_refusal),
    "MaxPool": Handler(_max_pool, _max_pool_refusal),
}
