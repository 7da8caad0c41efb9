"""Finds the layers whose outputs nothing but the signs of a next layer read, and what lies between them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import (
    constant_array,
    integer,
    ints,
    only_reader,
    operand,
    shape_of,
    text,
)
from rbnn_deploy.exporters.onnx.passes.fuse_binary_conv import (
    BIAS,
    MAP_RANK,
    RESIDUAL,
    SCALE,
    WINDOW_TERMS,
    per_channel,
)
from rbnn_deploy.exporters.onnx.passes.sum_thresholds import (
    Float32,
    Step,
    SumThresholds,
    addition,
    clamp,
    find_thresholds,
    product,
    slopes,
)
from rbnn_deploy.exporters.onnx.plain import binary_conv_attributes, is_binary_conv
from rbnn_deploy.operators import BOUNDS, GENERAL_BINARY_CONV2D_OPERATOR

STATIC = ("zero", "per_channel")
X, W = 0, 1
T, WINDOW_SUM, NEG, POS, POST = map(
    GENERAL_BINARY_CONV2D_OPERATOR.index, ("T", "window_sum", "neg", "pos", "post")
)


@dataclass
class SignLink:
    """What lies between a layer and the one that reads its signs.

    Attributes:
        before: Steps in front of the max pool, or all where there is none.
        behind: Those behind it.
        pool: Height and width of its windows.
        nodes: The nodes that are these.
        reader: The layer that reads the signs.
        found: What stands for all of them.
    """

    before: list[Step]
    behind: list[Step] = field(default_factory=list)
    pool: tuple[int, int] = (1, 1)
    nodes: list[ir.Node] = field(default_factory=list)
    reader: ir.Node = field(init=False)
    found: SumThresholds = field(init=False)


def find_link(conv: ir.Node) -> SignLink | str:
    """Returns how a layer's bits reach the next one, or the reason why it passes floats on."""
    scale, refusal = constant_array(operand(conv, SCALE)), _refusal(conv)
    if refusal or scale is None:
        return refusal
    steps = _own_steps(conv, scale.size)
    if steps is None:
        return "its activation rises and falls"
    link = SignLink(steps)
    return _walk(conv.outputs[0], scale.size, link) or _solve(conv, link, scale.size)


def _refusal(conv: ir.Node) -> str:
    """Says in a clause why a layer's bits cannot be told from its sums; empty where they can."""
    if any(constant_array(operand(conv, index)) is None for index in (W, SCALE, BIAS)):
        return "its weights are not constants"
    if text(conv, "threshold") not in STATIC:
        return "it compares with the sample's mean"
    if any(operand(conv, index) is not None for index in (RESIDUAL, *WINDOW_TERMS)):
        return "its sums have further terms"
    return ""


def _solve(conv: ir.Node, link: SignLink, outputs: int) -> SignLink | str:
    weights, limit = constant_array(conv.inputs[W]), _limit(link.reader, outputs)
    assert weights is not None
    largest = int(np.prod(weights.shape[1:3])) * binary_conv_attributes(conv).group_channels
    found = None if limit is None else find_thresholds(link.before, link.behind, limit, largest)
    if found is None:
        return "its outputs or thresholds are not finite"
    if found.opposite.any() and not _may_be_negated(link.reader):
        return (
            f"signs change behind its pool, and {link.reader.name} has padding or sums that this would change"
        )
    link.found = found
    return link


def _own_steps(conv: ir.Node, outputs: int) -> list[Step] | None:
    """Returns the layer's float steps; None where they are not monotone."""

    def row(index: int, absent: float = 0.0) -> Float32:
        value = constant_array(operand(conv, index))
        return np.broadcast_to(np.float32(absent) if value is None else value.ravel(), (outputs,))

    steps = [product(row(SCALE)), addition(row(BIAS))]
    activation = text(conv, "activation")
    if activation != "prelu":
        return [*steps, clamp(*BOUNDS[activation], outputs)]  # type: ignore[index]
    constants = [operand(conv, index) for index in (NEG, POS, POST)]
    if any(value is not None and constant_array(value) is None for value in constants):
        return None
    two = slopes(row(NEG), row(POS, 1.0))
    return None if two is None else [*steps, two, addition(row(POST))]


def _walk(value: ir.Value, outputs: int, link: SignLink) -> str:
    """Follows a layer's output to the next layer; returns a reason if it does not get there."""
    steps = link.before
    while (node := only_reader(value)) is not None:
        if is_binary_conv(node):
            link.reader = node
            if node.inputs[X] is not value:
                return f"{node.name} adds it"
            return "" if text(node, "threshold") in STATIC else f"{node.name} compares with the sample's mean"
        pool = None if link.pool != (1, 1) else _max_pool(node)
        step = _step(node, value, outputs)
        if pool is not None:
            link.nodes += pool.nodes
            link.pool, steps, value = pool.window, link.behind, pool.nodes[-1].outputs[0]
        elif step is not None:
            steps.append(step)
            link.nodes.append(node)
            value = node.outputs[0]
        else:
            return f"{node.op_type} {node.name} reads it"
    if value.is_graph_output():
        return "it is an output of the network"
    return "several nodes read it" if list(value.uses()) else "no node reads it"


def _step(node: ir.Node, value: ir.Value, outputs: int) -> Step | None:
    """Returns the step per channel that a node is; None for others."""
    if node.domain or not node.inputs:
        return None
    if node.op_type in ("Mul", "Add"):
        other = node.inputs[1 - list(node.inputs).index(value)]
        constant = None if other is value else per_channel(other, outputs)
        row = None if constant is None else constant.astype(np.float32)
        return None if row is None else product(row) if node.op_type == "Mul" else addition(row)
    bounds = _bounds(node) if node.inputs[0] is value else None
    return None if bounds is None else clamp(*bounds, outputs)


def _bounds(node: ir.Node) -> tuple[float, float] | None:
    """Returns the bounds that a Clip or Relu sets; None for other nodes, and for bounds that are computed."""
    if node.op_type != "Clip":
        return BOUNDS["relu"] if node.op_type == "Relu" else None
    low, high = (constant_array(operand(node, index)) for index in (1, 2))
    if any(operand(node, i) is not None and bound is None for i, bound in ((1, low), (2, high))):
        return None
    least, most = BOUNDS["none"]
    return (least if low is None else low.item(), most if high is None else high.item())


@dataclass(frozen=True)
class _Pool:
    window: tuple[int, int]
    nodes: Sequence[ir.Node]


_POOL = ("Reshape", "ReduceMax", "Reshape", "ReduceMax", "Reshape")


def _max_pool(first: ir.Node) -> _Pool | None:
    """Finds the five nodes that a channels-last max pool is (layout/handlers/pooling.py)."""
    nodes = [first]
    while len(nodes) < len(_POOL) and (following := only_reader(nodes[-1].outputs[0])) is not None:
        nodes.append(following)
    source = shape_of(first.inputs[0])
    if tuple(node.op_type for node in nodes) != _POOL or any(node.domain for node in nodes) or source is None:
        return None
    shapes = [constant_array(node.inputs[1]) for node in nodes]
    kept = any(integer(node, "keepdims", 1) for node in nodes[1::2])
    if (
        kept
        or len(source) != MAP_RANK
        or any(shape is None or not 1 <= shape.size <= MAP_RANK for shape in shapes)
    ):
        return None
    sizes = [tuple(map(int, shape.ravel())) for shape in shapes if shape is not None]
    down, across = sizes[0][-2:-1], sizes[2][-2:-1]  # the second of three
    height, width, channels = source[1:]
    if not (
        isinstance(height, int) and isinstance(width, int) and isinstance(channels, int) and down and across
    ):
        return None
    window = (down[0], across[0])
    expected = [
        (-1, window[0], width * channels),
        (1,),
        (-1, window[1], channels),
        (1,),
        (-1, height // max(window[0], 1), width // max(window[1], 1), channels),
    ]
    return _Pool(window, nodes) if sizes == expected else None


def _limit(reader: ir.Node, channels: int) -> Float32 | None:
    """Returns what a layer's signs compare with, float32 [C]; None where it is not constant."""
    if text(reader, "threshold") == "zero":
        return np.zeros(channels, np.float32)
    values = constant_array(operand(reader, T))
    return None if values is None else np.broadcast_to(values.ravel(), (channels,)).astype(np.float32)


def _may_be_negated(reader: ir.Node) -> bool:
    return (
        constant_array(reader.inputs[W]) is not None
        and operand(reader, WINDOW_SUM) is None
        and (integer(reader, "pad_value", 0) == 0 or not any(ints(reader, "pads")))
    )
