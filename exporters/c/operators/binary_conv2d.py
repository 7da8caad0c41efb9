"""BinaryConv2d and GeneralBinaryConv2d (docs/ops/): bits to outputs, the second of their two calls."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rbnn_deploy.bits import BITS_PER_BYTE, unpack_signs
from rbnn_deploy.exporters.c.graph import Graph, Node
from rbnn_deploy.exporters.c.operators.packing import WORD_BITS
from rbnn_deploy.exporters.c.program import Buffer, Places, Step
from rbnn_deploy.exporters.c.structures import structure
from rbnn_deploy.exporters.c.wanted import packing_of
from rbnn_deploy.operators import (
    BinaryConv2dAttributes,
    ConvolutionAttributes,
    GeneralBinaryConv2dAttributes,
)

LANES = 4  # words of a vector of 128 bits
Members = dict[str, int | float | str]


def emit(graph: Graph, node: Node) -> None:
    """Adds the step of a BinaryConv2d."""
    a = BinaryConv2dAttributes.from_mapping(node.attributes)
    _add(graph, node, a, "binary_conv2d", {}, f"{a.activation}", window_parts=2)


def emit_general(graph: Graph, node: Node) -> None:
    """Adds the step of a GeneralBinaryConv2d."""
    a = GeneralBinaryConv2dAttributes.from_mapping(node.attributes)
    behind = a.residual == "after_activation"
    members: Members = {"pad_value": a.pad_value, "residual_behind": int(behind)}
    window_sum, border = (_unless_zero(graph, node.input(index)) for index in (6, 10))
    members |= _per_output(graph, "window_sum", window_sum)
    members |= _per_output(graph, "border", border)
    if a.activation == "prelu":
        for member, index, absent in (("negative", 7, None), ("positive", 8, 1.0), ("post", 9, 0.0)):
            members |= _per_output(graph, member, node.input(index), absent)
    padded = f"padded with {a.pad_value}, " if any(a.pads) and a.pad_value else ""
    where = " behind it" if behind and node.input(4) else ""
    _add(graph, node, a, "general_binary_conv2d", members, f"{padded}{a.activation}{where}", window_parts=3)


def _add(
    graph: Graph,
    node: Node,
    a: ConvolutionAttributes,
    kernel: str,
    members: Members,
    text: str,
    window_parts: int,
) -> None:
    """Adds the step of either.

    Args:
        graph: Gets the step.
        node: The layer.
        a: Its attributes.
        kernel: The C function, but for what is behind its name where vectors hold words of four outputs.
        members: Those of the structure that only this kind of layer has.
        text: For the comment: what follows the sums.
        window_parts: How many windows of words the function needs as scratch.
    """
    value, weights_name, scale_name, bias_name = node.inputs[:4]
    packed = graph.constant(weights_name)
    scale, bias = graph.weights(scale_name), graph.weights(bias_name)
    outputs, KH, KW, _ = packed.shape
    words = pack_windows(packed, a.group_channels)
    weights, order = words, f"[{outputs}][{words.shape[1]}]"
    structure_name = kernel
    if graph.program.vectors and outputs // a.groups % LANES == 0:
        kernel += "_by_fours"
        weights = words.reshape(-1, LANES, words.shape[1]).swapaxes(1, 2)
        order = f"[{outputs // LANES}][{words.shape[1]}][{LANES}]"
    bits = graph.bits_of(value, packing_of(node))
    window = Buffer(f"window of {node.name}", "uint32_t", window_parts * words.shape[1])
    residual, residual_text, step = residual_of(graph, node.input(4))
    name = graph.identifier("layer", node.name)
    common: Members = {
        "residual_step": step,
        "activation": f"ACTIVATION_{node.attributes['activation'].upper()}",
        "weights": weights_table(graph, weights_name, weights, order, KW, a),
        "scale": graph.table("scale", scale_name, scale, "float", f"{outputs} outputs"),
        "bias": graph.table("bias", bias_name, bias, "float", f"{outputs} outputs"),
    }  # fmt: skip
    windows = windows_of(graph, node, a, graph.shape(node.outputs[0])[1:3])
    layer = structure(structure_name, name, windows | common | members)
    y = graph.new_buffer(node.outputs[0])

    def call(at: Places) -> str:
        r = residual_text if residual is None else at[residual]
        return f"{kernel}(&{name}, {at[bits]}, {r}, {at[y]}, {at[window]});"

    extra = f"{KH} x {KW} taps, {text}" + ("" if residual is None else ", with a residual")
    graph.add(
        Step(
            graph.comment(node, extra),
            call,
            reads=(bits,) if residual is None else (bits, residual),
            writes=(y, window),
            kernel=kernel,
            in_place=residual if step else None,
            layer=layer,
            result=node.outputs[0],
        )
    )


def windows_of(graph: Graph, node: Node, a: ConvolutionAttributes, out_size: tuple[int, ...]) -> Members:
    """Returns the members of a `struct binary_windows`.

    Args:
        graph: Knows shapes and constants.
        node: The layer.
        a: Its attributes.
        out_size: Height and width of the sums' map.
    """
    (H, W), packed = graph.shape(node.inputs[0])[1:3], graph.constant(node.inputs[1])
    outputs, KH, KW, _ = map(int, packed.shape)
    sizes: Members = {
        "height": H, "width": W, "channels": a.channels, "groups": a.groups,
        "out_height": out_size[0], "out_width": out_size[1], "outputs": outputs,
        "kernel_height": KH, "kernel_width": KW,
        "stride_y": a.strides[0], "stride_x": a.strides[1],
        "pad_top": a.pads[0], "pad_left": a.pads[1],
        "dilation_y": a.dilations[0], "dilation_x": a.dilations[1],
        "words": -(-KH * KW * a.group_channels // WORD_BITS),
    }  # fmt: skip
    return {f"windows.{member}": size for member, size in sizes.items()}


def weights_table(
    graph: Graph, name: str, words: npt.NDArray[np.uint32], order: str, KW: int, a: ConvolutionAttributes
) -> str:
    """Stores what `pack_windows` made, and returns its C identifier."""
    meaning = f"{order}, bit (i * {KW} + j) * {a.group_channels} + c"
    return graph.table("bits", name, words, "uint32_t", meaning)


def pack_windows(packed: npt.NDArray[np.uint8], channels: int) -> npt.NDArray[np.uint32]:
    """Packs each output's bits without gaps between taps.

    Args:
        packed: uint8 [outputs, KH, KW, ceil(channels / 8)], as the file has them.
        channels: Per group.

    Returns:
        uint32 [outputs, ceil(KH * KW * channels / 32)]: bit (i * KW + j) * channels + c, lowest first.
    """
    bits = unpack_signs(packed, channels).reshape(len(packed), -1) > 0
    padded = np.zeros((len(bits), -(-bits.shape[1] // WORD_BITS) * WORD_BITS), np.bool_)
    padded[:, : bits.shape[1]] = bits
    octets = np.packbits(padded, axis=1, bitorder="little").reshape(len(bits), -1, WORD_BITS // BITS_PER_BYTE)
    places = np.uint32(1) << np.arange(0, WORD_BITS, BITS_PER_BYTE, dtype=np.uint32)
    words: npt.NDArray[np.uint32] = (octets.astype(np.uint32) * places).sum(axis=-1, dtype=np.uint32)
    return words


def _unless_zero(graph: Graph, name: str) -> str:
    """Returns no name for one element that is zero, which the specification does not add."""
    values = graph.weights(name) if name else np.zeros(1, np.float32)
    return "" if values.size == 1 and values.ravel()[0] == 0 else name


def _per_output(graph: Graph, member: str, name: str, absent: float | None = None) -> Members:
    """Returns the members of a `struct per_output`.

    Args:
        graph: Gets the table.
        member: The structure's name in its layer.
        name: The input; empty where the node has none.
        absent: The value that stands for an absent input; None for a null pointer.
    """
    if name:
        values = graph.weights(name)
    elif absent is None:
        return {f"{member}.values": "NULL", f"{member}.step": 0}
    else:
        values = np.full(1, absent, np.float32)
    table = graph.table(member, name or f"{absent:g}", values, "float", f"{member}, {values.size} values")
    return {f"{member}.values": table, f"{member}.step": int(values.size > 1)}


def residual_of(graph: Graph, name: str) -> tuple[Buffer | None, str, int]:
    """Returns the residual's buffer, or the C expression of a constant one, and its step per output."""
    if name and graph.is_computed(name):
        count = int(np.prod(graph.shape(name)))
        return graph.buffer(name), "", 0 if count == 1 else 1
    values = graph.weights(name) if name else np.zeros(1, np.float32)
    table = graph.table("residual", name or "zero", values, "float", "added to the sums")
    return None, table, 0 if values.size == 1 else 1
