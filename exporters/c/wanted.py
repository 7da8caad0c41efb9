"""What later nodes want of a value: bits of its floats, or rows of bits that it holds already.

Bits lie in rows per group of the layer that reads them (kernels/pack_signs.h), whereas the file packs them
pixel by pixel. So the code that makes bits must know who reads them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy.typing as npt

from rbnn_deploy.exporters.c.graph import Node
from rbnn_deploy.operators import (
    BINARY_CONV2D,
    BINARY_CONVOLUTIONS,
    GENERAL_BINARY_CONV2D,
    GENERAL_BINARY_CONV2D_OPERATOR,
    PACK_SIGNS,
    PACKED_BINARY_CONV2D,
    UNPACK_SIGNS,
)

_T = GENERAL_BINARY_CONV2D_OPERATOR.index("T")


class Packing(NamedTuple):
    """What the bits of a value depend on, apart from the value.

    Attributes:
        rule: `zero`, `sample_mean` or `per_channel`; `zero` for bits that the file holds already.
        groups: Those of the layer that reads the bits.
        thresholds: Name of the thresholds with the rule `per_channel`; else empty.
    """

    rule: str
    groups: int
    thresholds: str


@dataclass(frozen=True)
class Wanted:
    """What all nodes want.

    Attributes:
        packings: For each float value, the ways in which its bits are wanted.
        groups: For each value that the file has as packed bits, the numbers of groups in whose rows they are
            wanted; at least one number.
        floats: The values made by UnpackSigns that are wanted as floats.
        only_bits: The float values of which nothing but bits is wanted.
        zeros: The constants that are one zero: a threshold of this name is the rule `zero`.
    """

    packings: Mapping[str, Sequence[Packing]]
    groups: Mapping[str, Sequence[int]]
    floats: frozenset[str]
    only_bits: frozenset[str]
    zeros: frozenset[str]


def packing_of(node: Node) -> Packing:
    """Returns how a binary layer wants the bits of its input."""
    rule = node.attributes.get("threshold", "zero")
    return Packing(rule, node.attributes["groups"], node.input(_T) if rule == "per_channel" else "")


def packing_of_pack_signs(node: Node, groups: int, zeros: Container[str]) -> Packing:
    """Returns how a PackSigns makes bits for a layer of so many groups; see `Wanted.zeros`."""
    thresholds = node.input(1)
    return Packing("zero", groups, "") if thresholds in zeros else Packing("per_channel", groups, thresholds)


def wanted_of(nodes: Sequence[Node], output: str, constants: Mapping[str, npt.NDArray[Any]]) -> Wanted:
    """Looks at all nodes.

    Args:
        nodes: In order.
        output: Name of the graph's output, which is wanted as floats.
        constants: Stored tensors by name.
    """
    zeros = frozenset(name for name, values in constants.items() if values.size == 1 and not values.any())
    readers: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        for value in dict.fromkeys(node.inputs):
            readers[value].append(node)
    packings: dict[str, list[Packing]] = defaultdict(list)
    groups: dict[str, list[int]] = {}
    floats = {output}
    for node in nodes:
        result = node.outputs[0]
        if node.op in (PACK_SIGNS, PACKED_BINARY_CONV2D):
            groups[result] = list(dict.fromkeys(_groups(result, readers))) or [1]
        if node.op == UNPACK_SIGNS and not all(_takes_signs(reader, result) for reader in readers[result]):
            floats.add(result)
        if node.op in (BINARY_CONV2D, GENERAL_BINARY_CONV2D):
            packings[node.inputs[0]].append(packing_of(node))
        elif node.op == PACK_SIGNS:
            packings[node.inputs[0]] += [packing_of_pack_signs(node, rows, zeros) for rows in groups[result]]
    return Wanted(
        packings={value: list(dict.fromkeys(several)) for value, several in packings.items()},
        groups=groups,
        zeros=zeros,
        floats=frozenset(floats),
        only_bits=frozenset(
            value
            for value, several in readers.items()
            if value != output and all(_takes_bits(reader, value) for reader in several)
        ),
    )


def _groups(value: str, readers: Mapping[str, Sequence[Node]]) -> Iterator[int]:
    """Yields the groups of the layers that read packed bits, or the signs that these are."""
    for node in readers[value]:
        if node.op == UNPACK_SIGNS:
            yield from _groups(node.outputs[0], readers)
        elif _takes_signs(node, value):
            yield node.attributes["groups"]


def _takes_signs(node: Node, value: str) -> bool:
    """Tells whether a node reads nothing of a value but whether its numbers are at least zero."""
    return node.op in BINARY_CONVOLUTIONS and _takes_bits(node, value) and packing_of(node).rule == "zero"


def _takes_bits(node: Node, value: str) -> bool:
    """Tells whether a node reads nothing of a value but the bits that a packing makes of it."""
    binarises = node.op in BINARY_CONVOLUTIONS or node.op == PACK_SIGNS
    return binarises and node.inputs[0] == value and list(node.inputs).count(value) == 1
