"""Activations to bits, the first of the two calls of a binary convolution.

The bits take a 32nd of the activations' memory. They are made as soon as a value is there, so its float32 map
is needed no longer unless a shortcut reads it, and the outputs may be written over it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from rbnn_deploy.exporters.c.graph import Graph, Node, UnsupportedNodeError, times
from rbnn_deploy.exporters.c.names import comment_text
from rbnn_deploy.exporters.c.program import Buffer, Places, Step
from rbnn_deploy.model_files.errors import quoted
from rbnn_deploy.operators import BINARY_CONV2D, GENERAL_BINARY_CONV2D

WORD_BITS = 32


class Packing(NamedTuple):
    """What the bits of a value depend on, apart from the value.

    Attributes:
        rule: The node's threshold.
        groups: The node's groups.
        thresholds: Name of the thresholds with the rule `per_channel`; else empty.
    """

    rule: str
    groups: int
    thresholds: str


def packing_of(node: Node) -> Packing:
    """Returns how a binary layer wants the bits of its input."""
    rule = node.attributes["threshold"]
    return Packing(rule, node.attributes["groups"], node.input(5) if rule == "per_channel" else "")


def packings(nodes: Iterable[Node]) -> Mapping[str, list[Packing]]:
    """Returns, for each value that binary layers read, the ways in which they want its bits."""
    wanted: dict[str, list[Packing]] = defaultdict(list)
    for node in nodes:
        if node.op in (BINARY_CONV2D, GENERAL_BINARY_CONV2D):
            packing = packing_of(node)
            if packing not in wanted[node.inputs[0]]:
                wanted[node.inputs[0]].append(packing)
    return wanted


def add_packing(graph: Graph, value: str, wanted: Mapping[str, list[Packing]]) -> None:
    """Adds the steps that turn a value, which is there now, into bits."""
    for packing in wanted.get(value, ()):
        if not graph.is_computed(value):
            raise UnsupportedNodeError(f"gives bits of {quoted(value)}, which does not depend on the image")
        if len(graph.shape(value)) != 4:
            raise UnsupportedNodeError("has an output that is no map, where a binary layer needs one")
        _, H, W, C = graph.shape(value)
        source = graph.buffer(value)
        row = -(-W * (C // packing.groups) // WORD_BITS)
        bits = Buffer(f"bits of {value}", "uint32_t", packing.groups * H * row)
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


def _threshold(
    graph: Graph, packing: Packing, H: int, W: int, C: int
) -> tuple[str, tuple[str, ...], str, str]:
    """Returns the C function that packs, what else it needs, its second argument, and that one's meaning."""
    if packing.rule == "sample_mean":
        return "pack_signs", ("sample_mean",), f"sample_mean({{x}}, {H}, {W * C})", "the mean of the map"
    if packing.rule == "zero":
        return "pack_signs", (), "0.0f", "0"
    values = graph.weights(packing.thresholds)
    table = graph.table("threshold", packing.thresholds, values, "float", f"{values.size} thresholds")
    if values.size == 1:
        return "pack_signs", (), f"{table}[0]", "the threshold"
    return "pack_signs_per_channel", (), table, "the channel's threshold"


def _filled(text: str, source: Buffer, bits: Buffer) -> Callable[[Places], str]:
    return lambda at: text.format(x=at[source], bits=at[bits])
