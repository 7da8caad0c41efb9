"""QuantConv2d (docs/ops/): floats to bytes, bytes to outputs, and its max pool, in up to three calls.

A byte holds an activation's integer a less `low`. So a sum of products is that of the bytes, plus `low` times
the sum of the weights; the latter is a constant of each output, because a tap outside of the map holds the
byte of 0.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from rbnn_deploy.exporters.c.graph import Graph, Node, UnsupportedNodeError
from rbnn_deploy.exporters.c.operators.binary_conv2d import residual_of
from rbnn_deploy.exporters.c.operators.packing import RowStep, add_packing_by_rows, packing_by_rows
from rbnn_deploy.exporters.c.program import ELEMENT_BYTES, Buffer, Places, Step
from rbnn_deploy.exporters.c.structures import structure
from rbnn_deploy.exporters.c.wanted import Packing
from rbnn_deploy.operators import QUANT_CONV2D_OPERATOR, QuantConv2dAttributes
from rbnn_deploy.quant_conv2d_rules import QuantSizes, quant_sizes

_R = QUANT_CONV2D_OPERATOR.index("R")


def emit(graph: Graph, node: Node) -> None:
    """Adds the steps of a QuantConv2d."""
    a = QuantConv2dAttributes.from_mapping(node.attributes)
    W = graph.constant(node.inputs[1])
    shape = graph.shape(node.inputs[0])
    if len(shape) != 4:
        raise UnsupportedNodeError("is not of a map with two axes")
    sizes = quant_sizes(a.map_size(shape), W.shape[1:3], a)
    integers = _add_quantise(graph, node, a, sizes)
    name = node.outputs[0]
    if a.has_pool:
        y = Buffer(f"{name} in front of the pool", "float", math.prod(sizes.conv) * len(W))
        _add_product(graph, node, a, sizes, W, integers, y)
        _add_pool(graph, node, a, sizes, len(W), y)
    elif (packing := packing_by_rows(graph, name)) is not None and _adds_one_number(graph, node):
        y = Buffer(f"a row of {name}", "float", sizes.conv[1] * len(W))
        _add_product(graph, node, a, sizes, W, integers, y, packing)
    else:
        _add_product(graph, node, a, sizes, W, integers, graph.new_buffer(name))


def _adds_one_number(graph: Graph, node: Node) -> bool:
    """Tells whether a layer's residual is the same constant everywhere, or absent."""
    residual, _, step = residual_of(graph, node.input(_R))
    return residual is None and step == 0


def _bytes(name: str, count: int) -> Buffer:
    """Makes memory for bytes. It is of words, which C lets a program read and write as bytes."""
    return Buffer(name, "uint32_t", -(-count // ELEMENT_BYTES))


def _add_quantise(graph: Graph, node: Node, a: QuantConv2dAttributes, sizes: QuantSizes) -> Buffer:
    value = node.inputs[0]
    x = graph.buffer(value)
    width, channels = sizes.x[1], a.channels
    planes = a.layout == "channels_first" and value not in graph.channels_last
    pixel = 1 if planes else channels
    window = a.mean_window(sizes.x)
    name = graph.identifier("bytes", node.name)
    members: dict[str, int | float | str] = {
        "out_height": sizes.mean[0], "out_width": sizes.mean[1], "channels": channels,
        "window_height": window[0], "window_width": window[1],
        "stride_y": a.mean_strides[0], "stride_x": a.mean_strides[1],
        "in_channel": math.prod(sizes.x) if planes else 1, "in_row": width * pixel, "in_pixel": pixel,
        "low": a.low, "high": a.high,
        "factor": float(graph.weights(node.inputs[4]).reshape(())),
    }  # fmt: skip
    integers = _bytes(f"bytes of {value}", math.prod(sizes.mean) * channels)
    mean = f"means of {window[0]} x {window[1]}, " if a.has_mean else ""
    graph.add(
        Step(
            graph.comment(node, f"{mean}activations as bytes"),
            lambda at: f"quantise(&{name}, {at[x]}, (uint8_t*)({at[integers]}));",
            reads=(x,),
            writes=(integers,),
            kernel="quantise",
            layer=structure("quantise", name, members),
        )
    )
    return integers


def _add_product(
    graph: Graph,
    node: Node,
    a: QuantConv2dAttributes,
    sizes: QuantSizes,
    W: npt.NDArray[np.int8],
    integers: Buffer,
    y: Buffer,
    packing: Packing | None = None,
) -> None:
    """Adds the step from bytes to outputs, or with a packing that from bytes to their bits, row by row."""
    outputs, KH, KW, channels = W.shape
    scale_name, bias_name = node.inputs[2:4]
    residual, residual_text, step = residual_of(graph, node.input(_R))
    row = _bytes(f"window of {node.name}", KH * KW * channels)
    start = W.reshape(outputs, -1).sum(axis=1, dtype=np.int64) * a.low % (1 << 32)
    shape = f"[{outputs}][{KH}][{KW}][{channels}]"
    name = graph.identifier("layer", node.name)
    members: dict[str, int | float | str] = {
        "height": sizes.mean[0], "width": sizes.mean[1], "channels": a.channels, "groups": a.groups,
        "out_height": sizes.conv[0], "out_width": sizes.conv[1], "outputs": outputs,
        "kernel_height": KH, "kernel_width": KW,
        "stride_y": a.strides[0], "stride_x": a.strides[1],
        "pad_top": a.pads[0], "pad_left": a.pads[1],
        "dilation_y": a.dilations[0], "dilation_x": a.dilations[1],
        "zero": -a.low, "residual_step": step, "activation": f"ACTIVATION_{a.activation.upper()}",
        "weights": graph.table("weights", node.inputs[1], W, "int8_t", shape),
        "start": graph.table(f"start_{-a.low}", node.inputs[1], start, "uint32_t", "begins of the sums"),
        "scale": graph.table("scale", scale_name, graph.weights(scale_name), "float", f"{outputs} outputs"),
        "bias": graph.table("bias", bias_name, graph.weights(bias_name), "float", f"{outputs} outputs"),
    }  # fmt: skip

    def call(at: Places) -> str:
        r = residual_text if residual is None else at[residual]
        x, window = (f"(uint8_t*)({at[buffer]})" for buffer in (integers, row))
        return f"quant_conv2d_map(&{name}, {x}, {r}, {at[y]}, {window});"

    def call_row(at: Places) -> str:
        x, window = (f"(uint8_t*)({at[buffer]})" for buffer in (integers, row))
        return f"quant_conv2d_row(&{name}, {x}, p, {residual_text}, {at[y]}, {window});"

    extra = f"{KH} x {KW} taps, {a.activation}" + ("" if residual is None else ", with a residual")
    if packing is not None:
        step_of_rows = RowStep(
            graph.comment(node, extra),
            call_row,
            reads=(integers,),
            row=y,
            scratch=(row,),
            kernel="quant_conv2d",
            layer=structure("quant_conv2d", name, members),
        )
        add_packing_by_rows(graph, node.outputs[0], packing, step_of_rows)
        return
    graph.add(
        Step(
            graph.comment(node, extra),
            call,
            reads=(integers,) if residual is None else (integers, residual),
            writes=(y, row),
            kernel="quant_conv2d_map",
            in_place=residual if step else None,
            layer=structure("quant_conv2d", name, members),
            result=None if a.has_pool else node.outputs[0],
        )
    )


def _add_pool(
    graph: Graph, node: Node, a: QuantConv2dAttributes, sizes: QuantSizes, outputs: int, x: Buffer
) -> None:
    name = graph.identifier("pool", node.name)
    members: dict[str, int | float | str] = {
        "height": sizes.conv[0], "width": sizes.conv[1], "channels": outputs,
        "out_height": sizes.pool[0], "out_width": sizes.pool[1],
        "kernel_height": a.pool_kernel[0], "kernel_width": a.pool_kernel[1],
        "stride_y": a.pool_strides[0], "stride_x": a.pool_strides[1],
        "pad_top": a.pool_pads[0], "pad_left": a.pool_pads[1],
    }  # fmt: skip
    y = graph.new_buffer(node.outputs[0])
    graph.add(
        Step(
            graph.comment(node, f"windows of {a.pool_kernel[0]} x {a.pool_kernel[1]}"),
            lambda at: f"pool_of_largest(&{name}, {at[x]}, {at[y]});",
            reads=(x,),
            writes=(y,),
            kernel="pool_of_largest",
            layer=structure("pool_of_largest", name, members),
            result=node.outputs[0],
        )
    )
