"""Conv, Gemm and MatMul of bipolar activations and bipolar weights -> plain binary convolutions.

Weights are bipolar where all of an output channel have one magnitude m[o]. With activations of -s and +s

    Conv(x, w) + b = acc * (s * m[o]) + b[o],      acc an integer

A linear layer is a 1 x 1 convolution on a map of one pixel. A zero padding of the Conv counts 0 on both
sides. A layer of other weights or activations stays a float layer, and computes the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.bits import pack_signs
from rbnn_deploy.exporters.onnx.graph import (
    Writer,
    constant_array,
    floating,
    integer,
    ints,
    operand,
    remove,
    replace,
    text,
)
from rbnn_deploy.exporters.onnx.passes.result import Note
from rbnn_deploy.exporters.onnx.plain import PLAIN_DOMAIN
from rbnn_deploy.operators import BINARY_CONV2D, CONV_ATTRIBUTES, BinaryConv2dAttributes

MAP_RANK, ROW_RANK = 4, 2


@dataclass(frozen=True)
class BinaryLayer:
    """One layer that was found.

    Attributes:
        conv: The plain binary convolution.
        result: Its output; of a linear layer, reshaped to rows.
        rank: Axes of `result`, the second of which has the channels.
        weights: How many one-bit weights it has.
        products: How many products one sum has.
    """

    conv: ir.Node
    result: ir.Value
    rank: int
    weights: int
    products: int


def read_binary_layers(
    graph: ir.Graph, levels: Mapping[ir.Value, float], ranks: Mapping[str, int]
) -> tuple[list[BinaryLayer], list[Note]]:
    """Replaces every binary layer of a graph, in place.

    Args:
        graph: Whose quantisers are normalised, and whose weights are constants.
        levels: See `rbnn_deploy.exporters.qonnx.levels.two_levels`.
        ranks: Number of axes of each value.

    Returns:
        The layers in their order, and why layers of bipolar activations stay float.
    """
    layers, notes = [], []
    for node in [node for node in graph if not node.domain and node.op_type in _MATRICES]:
        x = operand(node, 0)
        level = None if x is None else levels.get(x)
        if x is None or level is None:
            continue
        try:
            layers.append(_layer(node, x, level, ranks))
        except ValueError as error:
            notes.append(Note(str(node.name), f"not binary, because {error}", done=False))
    return layers, notes


def _layer(node: ir.Node, x: ir.Value, level: float, ranks: Mapping[str, int]) -> BinaryLayer:
    weight, bias = _MATRICES[node.op_type](node, ranks)
    outputs = len(weight)
    rows = weight.reshape(outputs, -1)
    magnitude = np.abs(rows).max(axis=1)
    if not np.isfinite(magnitude).all() or (np.abs(rows) != magnitude[:, None]).any():
        raise ValueError("its weights are not of one magnitude per output channel")
    linear = weight.ndim == ROW_RANK
    kernel = weight.reshape(outputs, -1, 1, 1) if linear else weight
    attributes = _attributes(node, kernel, linear=linear)
    writer = Writer(node)
    if linear:
        x = writer.node("Reshape", x, writer.constant([-1, kernel.shape[1], 1, 1], np.int64))
    scale = (magnitude.astype(np.float64) * level).astype(np.float32)
    y = writer.node(
        BINARY_CONV2D,
        x,
        writer.constant(pack_signs(kernel.transpose(0, 2, 3, 1))),
        writer.constant(scale),
        writer.constant(bias.astype(np.float32)),
        domain=PLAIN_DOMAIN,
        name=node.name,
        **attributes.to_dict(),
    )
    conv = y.producer()
    assert conv is not None
    if linear:
        y = writer.node("Reshape", y, writer.constant([-1, outputs], np.int64))
    replace(node.outputs[0], y)
    remove([node])
    return BinaryLayer(conv, y, ROW_RANK if linear else MAP_RANK, weight.size, rows.shape[1])


def _attributes(node: ir.Node, kernel: npt.NDArray[Any], *, linear: bool) -> BinaryConv2dAttributes:
    if linear:
        return BinaryConv2dAttributes(kernel.shape[1], threshold="zero")
    if text(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise ValueError("its padding depends on the size of its input (auto_pad)")
    groups = integer(node, "group", 1)
    default = BinaryConv2dAttributes(kernel.shape[1] * groups)
    strides, pads, dilations = (
        ints(node, name, getattr(default, CONV_ATTRIBUTES[name])) for name in ("strides", "pads", "dilations")
    )
    return BinaryConv2dAttributes.from_values(
        default.channels, list(strides), list(pads), list(dilations), groups, "zero", default.activation
    )


_Matrix = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def _weight(node: ir.Node, rank: int) -> npt.NDArray[Any]:
    weight = constant_array(operand(node, 1))
    if weight is None or weight.ndim != rank or weight.dtype != np.float32:
        raise ValueError(f"its weights are not a float32 constant of {rank} axes")
    return weight


def _bias(node: ir.Node, outputs: int) -> npt.NDArray[Any]:
    if operand(node, 2) is None:
        return np.zeros(outputs, np.float32)
    bias = constant_array(operand(node, 2))
    if bias is None or bias.size not in (1, outputs) or (bias.ndim and bias.shape[-1] != bias.size):
        raise ValueError("its bias is no constant per output channel")
    return np.broadcast_to(bias.reshape(-1), (outputs,))


def _conv(node: ir.Node, ranks: Mapping[str, int]) -> _Matrix:
    weight = _weight(node, MAP_RANK)
    return weight, _bias(node, len(weight))


def _gemm(node: ir.Node, ranks: Mapping[str, int]) -> _Matrix:
    weight = _weight(node, ROW_RANK)
    if integer(node, "transA", 0):
        raise ValueError("its activations are transposed")
    weight = weight if integer(node, "transB", 0) else weight.T
    alpha, beta = np.float32(floating(node, "alpha", 1.0)), np.float32(floating(node, "beta", 1.0))
    return weight * alpha, _bias(node, len(weight)) * beta


def _matmul(node: ir.Node, ranks: Mapping[str, int]) -> _Matrix:
    weight = _weight(node, ROW_RANK).T
    if ranks.get(str(node.outputs[0].name)) != ROW_RANK:
        raise ValueError("its activations are not known to be rows of one vector per sample")
    return weight, np.zeros(len(weight), np.float32)


_MATRICES = {"Conv": _conv, "Gemm": _gemm, "MatMul": _matmul}
