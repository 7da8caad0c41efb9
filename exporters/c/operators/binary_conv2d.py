"""BinaryConv2d (docs/ops/BinaryConv2d.md) in two calls: activations to bits, then bits to outputs.

The bits take a 32nd of the activations' memory. They are made as soon as a value is there, so its float32 map
is needed no longer unless a shortcut reads it, and the outputs may be written over it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from rbnn_deploy.bits import BITS_PER_BYTE, unpack_signs
from rbnn_deploy.exporters.c.graph import Graph, Node, UnsupportedNodeError, times
from rbnn_deploy.exporters.c.names import comment_text
from rbnn_deploy.exporters.c.program import Buffer, Places, Step
from rbnn_deploy.exporters.c.structures import structure
from rbnn_deploy.model_files.errors import quoted
from rbnn_deploy.operators import BINARY_CONV2D, BinaryConv2dAttributes

WORD_BITS = 32
KERNEL = "binary_conv2d"

# (threshold, groups): what the bits of a value depend on, apart from the value.
Packing = tuple[str, int]


def packings(nodes: Iterable[Node]) -> Mapping[str, list[Packing]]:
    """Returns, for each value that binary layers read, the ways in which they want its bits."""
    wanted: dict[str, list[Packing]] = defaultdict(list)
    for node in nodes:
        if node.op == BINARY_CONV2D:
            packing = _packing(node)
            if packing not in wanted[node.inputs[0]]:
                wanted[node.inputs[0]].append(packing)
    return wanted


def add_packing(graph: Graph, value: str, wanted: Mapping[str, list[Packing]]) -> None:
    """Adds the steps that turn a value, which is there now, into bits."""
    for packing in wanted.get(value, ()):
        rule, groups = packing
        if not graph.is_computed(value):
            raise UnsupportedNodeError(f"gives bits of {quoted(value)}, which does not depend on the image")
        if len(graph.shape(value)) != 4:
            raise UnsupportedNodeError("has an output that is no map, where a binary layer needs one")
        _, H, W, C = graph.shape(value)
        source = graph.buffer(value)
        row = -(-W * (C // groups) // WORD_BITS)
        bits = Buffer(f"bits of {value}", "uint32_t", groups * H * row)
        graph.bits[value, *packing] = bits
        threshold = f"sample_mean({{x}}, {H}, {W * C})" if rule == "sample_mean" else "0.0f"
        text = f"pack_signs({{x}}, {threshold}, {H}, {W}, {C}, {groups}, {{bits}});"
        graph.add(
            Step(
                comment_text(f"bits of {value}, {times((H, W, C))}: 1 where x >= {_rule_text(rule)}"),
                _filled(text, source, bits),
                reads=(source,),
                writes=(bits,),
                kernel="pack_signs",
                also=("sample_mean",) if rule == "sample_mean" else (),
            )
        )


def emit(graph: Graph, node: Node) -> None:
    """Adds the step from bits to outputs."""
    a = BinaryConv2dAttributes.from_mapping(node.attributes)
    value, weights_name, scale_name, bias_name = node.inputs[:4]
    H, W = graph.shape(value)[1:3]
    packed = graph.constant(weights_name)
    scale, bias = graph.weights(scale_name), graph.weights(bias_name)
    outputs, KH, KW, _ = packed.shape
    OH, OW = graph.shape(node.outputs[0])[1:3]
    words = pack_windows(packed, a.channels // a.groups)
    bits = graph.bits[value, *_packing(node)]
    window = Buffer(f"window of {node.name}", "uint32_t", 2 * words.shape[1])
    residual, residual_text, step = _residual(graph, node)

    name = graph.identifier("layer", node.name)
    layer = structure(
        "binary_conv2d",
        name,
        {
            "height": H, "width": W, "channels": a.channels, "groups": a.groups,
            "out_height": OH, "out_width": OW, "outputs": outputs,
            "kernel_height": KH, "kernel_width": KW,
            "stride_y": a.strides[0], "stride_x": a.strides[1],
            "pad_top": a.pads[0], "pad_left": a.pads[1],
            "dilation_y": a.dilations[0], "dilation_x": a.dilations[1],
            "words": words.shape[1],
            "residual_step": step,
            "activation": f"ACTIVATION_{a.activation.upper()}",
            "weights": graph.table(
                "bits", weights_name, words, "uint32_t",
                f"[{outputs}][{words.shape[1]}], bit (i * {KW} + j) * {a.channels // a.groups} + c",
            ),
            "scale": graph.table("scale", scale_name, scale, "float", f"{outputs} outputs"),
            "bias": graph.table("bias", bias_name, bias, "float", f"{outputs} outputs"),
        },
    )  # fmt: skip
    y = graph.new_buffer(node.outputs[0])

    def call(at: Places) -> str:
        r = residual_text if residual is None else at[residual]
        return f"binary_conv2d(&{name}, {at[bits]}, {r}, {at[y]}, {at[window]});"

    extra = f"{KH} x {KW} taps, {a.activation}" + ("" if residual is None else ", with a residual")
    graph.add(
        Step(
            graph.comment(node, extra),
            call,
            reads=(bits,) if residual is None else (bits, residual),
            writes=(y, window),
            kernel=KERNEL,
            in_place=residual if step else None,
            layer=layer,
            result=node.outputs[0],
        )
    )


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


def _filled(text: str, source: Buffer, bits: Buffer) -> Callable[[Places], str]:
    return lambda at: text.format(x=at[source], bits=at[bits])


def _packing(node: Node) -> Packing:
    return node.attributes["threshold"], node.attributes["groups"]


def _rule_text(rule: str) -> str:
    return "the mean of the map" if rule == "sample_mean" else "0"


def _residual(graph: Graph, node: Node) -> tuple[Buffer | None, str, int]:
    """Returns the residual's buffer, or the C expression of a constant one, and its step per output."""
    name = node.input(4)
    if name and graph.is_computed(name):
        count = int(np.prod(graph.shape(name)))
        return graph.buffer(name), "", 0 if count == 1 else 1
    values = graph.weights(name) if name else np.zeros(1, np.float32)
    table = graph.table("residual", name or "zero", values, "float", "added to the sums")
    return None, table, 0 if values.size == 1 else 1
