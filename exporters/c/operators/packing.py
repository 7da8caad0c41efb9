"""Activations to bits, the first of the two calls of a binary convolution; PackSigns and UnpackSigns.

The bits take a 32nd of the activations' memory. They are made as soon as a value is there, so its float32 map
is needed no longer unless a shortcut reads it, and the outputs may be written over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rbnn_deploy.exporters.c.graph import Graph, Node, UnsupportedNodeError, times
from rbnn_deploy.exporters.c.names import comment_text
from rbnn_deploy.exporters.c.program import Buffer, Places, Step
from rbnn_deploy.exporters.c.wanted import Packing, packing_of_pack_signs
from rbnn_deploy.model_files.errors import quoted

WORD_BITS = 32


def add_packing(graph: Graph, value: str) -> None:
    """Adds the steps that turn a value, which is there now, into bits."""
    for packing in graph.wanted.packings.get(value, ()):
        if (value, *packing) in graph.bits:
            continue  # the file holds it as bits
        if not graph.is_computed(value):
            raise UnsupportedNodeError(f"gives bits of {quoted(value)}, which does not depend on the image")
        if len(graph.shape(value)) != 4:
            raise UnsupportedNodeError("has an output that is no map, where a binary layer needs one")
        _, H, W, C = graph.shape(value)
        source = graph.buffer(value)
        bits = bits_buffer(value, H, W, C, packing.groups)
        graph.bits[value, *packing] = bits
        kernel, also, threshold, meaning = _threshold(graph, packing, H, W, C)
        text = f"{kernel}({{x}}, {threshold}, {H}, {W}, {C}, {packing.groups}, {{bits}});"
        graph.add(
            Step(
                comment_text(f"bits of {value}, {times((H, W, C))}: 1 where x >= {meaning}"),
                _filled(text, source, bits),
                reads=(source,),
                writes=(bits,),
                kernel=kernel,
                also=also,
            )
        )


@dataclass(frozen=True)
class RowStep:
    """A step that computes row p of a map of floats.

    Attributes:
        comment, call, reads, kernel, layer: As `Step` has them; the call's text names `p`.
        row: The row.
        scratch: Other buffers that it writes.
    """

    comment: str
    call: Callable[[Places], str]
    reads: tuple[Buffer, ...]
    row: Buffer
    scratch: tuple[Buffer, ...]
    kernel: str
    layer: str


def packing_by_rows(graph: Graph, value: str) -> Packing | None:
    """Returns the packing of a value of which nothing but these bits is wanted, row by row; None for others.

    The sample's mean needs the whole map, and with groups a row's bits do not lie together.
    """
    several = graph.wanted.packings.get(value, ())
    if value not in graph.wanted.only_bits or len(several) != 1 or len(graph.shape(value)) != 4:
        return None
    return None if several[0].rule == "sample_mean" or several[0].groups != 1 else several[0]


def add_packing_by_rows(graph: Graph, value: str, packing: Packing, step: RowStep) -> None:
    """Adds a step that computes a map row by row and keeps nothing but its bits.

    So a map of floats never stands in memory as a whole.
    """
    _, H, W, C = graph.shape(value)
    kernel, also, threshold, meaning = _threshold(graph, packing, 1, W, C)
    bits = bits_buffer(value, H, W, C, 1)
    graph.bits[value, *packing] = bits

    def call(at: Places) -> str:
        to = f"{at[bits]} + p * {bits.count // H}"
        lines = [
            f"for (int p = 0; p < {H}; p++) {{",
            f"    {step.call(at)}",
            f"    {kernel}({at[step.row]}, {threshold}, 1, {W}, {C}, 1, {to});",
            "}",
        ]
        return "\n    ".join(lines)

    graph.add(
        Step(
            f"{step.comment}; of each row its bits: 1 where x >= {meaning}",
            call,
            reads=step.reads,
            writes=(bits, step.row, *step.scratch),
            kernel=step.kernel,
            also=(kernel, *also),
            layer=step.layer,
        )
    )


def emit_pack(graph: Graph, node: Node) -> None:
    """Gives the bits of the input, which are there, the name of a PackSigns' output."""
    value, result = node.inputs[0], node.outputs[0]
    graph.channels_of_bits[result] = graph.shape(value)[-1]
    for groups in graph.wanted.groups[result]:
        packing = packing_of_pack_signs(node, groups, graph.wanted.zeros)
        graph.bits[result, *held(groups)] = graph.bits_of(value, packing)


def emit_unpack(graph: Graph, node: Node) -> None:
    """Gives bits a second name, and makes floats of them where a node needs floats."""
    value, result, channels = node.inputs[0], node.outputs[0], node.attributes["channels"]
    several = graph.wanted.groups.get(value, [1])
    for groups in several:
        graph.bits[result, *held(groups)] = graph.held_bits_of(value, held(groups), channels)
    if result in graph.wanted.floats:
        _, H, W, C = graph.shape(result)
        bits, floats = graph.bits[result, *held(several[0])], graph.new_buffer(result)
        graph.add(
            Step(
                comment_text(f"{node.name}: {times((H, W, C))}, +1 where a bit is 1, else -1"),
                lambda at: f"unpack_signs({at[bits]}, {H}, {W}, {C}, {several[0]}, {at[floats]});",
                reads=(bits,),
                writes=(floats,),
                kernel="unpack_signs",
                result=result,
            )
        )


def bits_buffer(value: str, H: int, W: int, C: int, groups: int) -> Buffer:
    """Makes the memory of a map's bits, which lie as kernels/pack_signs.h says."""
    row = -(-W * (C // groups) // WORD_BITS)
    return Buffer(f"bits of {value}", "uint32_t", groups * H * row)


def held(groups: int) -> Packing:
    """Returns the packing of a value that the file holds as bits."""
    return Packing("zero", groups, "")


def _threshold(
    graph: Graph, packing: Packing, H: int, W: int, C: int
) -> tuple[str, tuple[str, ...], str, str]:
    """Returns the C function that packs, what else it needs, its second argument, and that one's meaning."""
    if packing.rule == "sample_mean":
        return "pack_signs", ("sample_mean",), f"sample_mean({{x}}, {H}, {W * C})", "the mean of the map"
    if packing.rule == "zero":
        return "pack_signs", (), "0.0f", "0"
    values = graph.constant(packing.thresholds)
    if values.dtype != np.float32:
        raise UnsupportedNodeError(
            f"has an output that is compared with {quoted(packing.thresholds)} of type {values.dtype}, "
            "not float32"
        )
    table = graph.table("threshold", packing.thresholds, values, "float", f"{values.size} thresholds")
    if values.size == 1:
        return "pack_signs", (), f"{table}[0]", "the threshold"
    return "pack_signs_per_channel", (), table, "the channel's threshold"


def _filled(text: str, source: Buffer, bits: Buffer) -> Callable[[Places], str]:
    return lambda at: text.format(x=at[source], bits=at[bits])
