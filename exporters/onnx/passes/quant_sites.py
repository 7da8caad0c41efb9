"""Finds the float layers that can become layers of int8 weights, and what goes into each of them.

A site is a Conv, Gemm or MatMul with constant weights,

    mean -> view -> layer -> steps per channel -> activation -> max pool,

where all but the layer may be absent, and the activation may stand behind the max pool, with which it
commutes to the bit. Each value between two of these is read by the next one only. QuantConv2d has a place for
all.

A product with rows [N, K] is a convolution of a map of one pixel, or, where the rows are a flattened map
[N, C, H, W], one whose kernel is the whole map. Rows of sequences, [N, T, K], are a map of T x 1 pixels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from onnxscript import ir

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.exporters.onnx.graph import (
    MAP_RANK,
    constant_array,
    floating,
    integer,
    ints,
    is_map,
    map_size,
    only_reader,
    operand,
    producer,
    shape_of,
    text,
)
from rbnn_deploy.exporters.onnx.layout.handlers.linear import batch_norm_affine
from rbnn_deploy.exporters.onnx.layout.handlers.pooling import has_plain_windows, is_plain_pool
from rbnn_deploy.exporters.onnx.layout.handlers.reduction import reduced_axes
from rbnn_deploy.exporters.onnx.passes.fuse_binary_conv import activation_of, per_channel
from rbnn_deploy.operators import Activation

LAYERS = ("Conv", "Gemm", "MatMul")
_VIEWS = ("Flatten", "Reshape", "Squeeze")
_ROWS, _SEQUENCE = 2, 3  # ranks
Pair = tuple[int, int]


@dataclass(frozen=True)
class QuantSite:
    """One float layer with all that its QuantConv2d takes up.

    Attributes:
        layer: The Conv, Gemm or MatMul.
        x: What the QuantConv2d reads: a map [N, C, H, W], or rows.
        weights: float64 [O, C / groups, KH, KW].
        bias: float64 [O].
        groups: Of the convolution, as the next three.
        strides: (vertical, horizontal).
        pads: (top, left, bottom, right).
        dilations: (vertical, horizontal).
        mean_kernel: Of the mean in front; (0, 0) is one over the whole map, (1, 1) is none.
        mean_strides: (vertical, horizontal).
        activation: Applied in front of the pool.
        pool_kernel: Of the max pool behind; (1, 1) is none.
        pool_strides: (vertical, horizontal).
        pool_pads: (top, left, bottom, right).
        behind: The nodes behind the layer that are part of it.
        in_front: The nodes in front of it, from the layer on.
    """

    layer: ir.Node
    x: ir.Value
    weights: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    groups: int = 1
    strides: Pair = (1, 1)
    pads: tuple[int, ...] = (0, 0, 0, 0)
    dilations: Pair = (1, 1)
    mean_kernel: Pair = (1, 1)
    mean_strides: Pair = (1, 1)
    activation: Activation = "none"
    pool_kernel: Pair = (1, 1)
    pool_strides: Pair = (1, 1)
    pool_pads: tuple[int, ...] = (0, 0, 0, 0)
    behind: tuple[ir.Node, ...] = ()
    in_front: tuple[ir.Node, ...] = ()

    @property
    def measured(self) -> ir.Value:
        """The value whose range the activations' quantisation needs: behind the mean."""
        value = self.layer.inputs[0]
        assert value is not None
        return value

    @property
    def end(self) -> ir.Value:
        """The value that the QuantConv2d computes."""
        return (self.behind[-1] if self.behind else self.layer).outputs[0]


def find_quant_sites(graph: ir.Graph) -> Iterator[QuantSite]:
    """Yields the sites of a channels-first graph, in its order; each node is part of one at most."""
    for node in graph:
        if node.domain == "" and node.op_type in LAYERS:
            site = _convolution(node) if node.op_type == "Conv" else _product(node)
            if site is not None:
                yield _with_mean(_with_steps_behind(site))


def _convolution(node: ir.Node) -> QuantSite | None:
    x, weights, bias = node.inputs[0], constant_array(node.inputs[1]), operand(node, 2)
    if x is None or not is_map(x) or weights is None or weights.ndim != MAP_RANK:
        return None  # of one or three dimensions, or with weights that are computed
    offset = np.zeros(len(weights)) if bias is None else constant_array(bias)
    if offset is None or text(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    return QuantSite(
        node,
        x,
        weights.astype(np.float64),
        offset.astype(np.float64),
        integer(node, "group", 1),
        _pair(node, "strides"),
        ints(node, "pads", (0, 0, 0, 0)),
        _pair(node, "dilations"),
    )


def _pair(node: ir.Node, name: str) -> Pair:
    first, second = ints(node, name, (1, 1))
    return first, second


def _product(node: ir.Node) -> QuantSite | None:
    rows, matrix = node.inputs[0], constant_array(node.inputs[1])
    shape = shape_of(rows)
    if rows is None or constant_array(rows) is not None or matrix is None or matrix.ndim != _ROWS:
        return None
    if shape is None or len(shape) not in (_ROWS, _SEQUENCE):
        return None
    bias = None
    weights = matrix.astype(np.float64).T
    if node.op_type == "Gemm":
        if integer(node, "transA", 0):
            return None
        weights = floating(node, "alpha", 1.0) * (weights if not integer(node, "transB", 0) else weights.T)
        if (offset := operand(node, 2)) is not None:
            if (found := constant_array(offset)) is None or found.size not in (1, len(weights)):
                return None
            bias = floating(node, "beta", 1.0) * found.astype(np.float64).ravel()
    bias = np.broadcast_to(np.zeros(1) if bias is None else bias, (len(weights),))
    site = QuantSite(node, rows, weights[:, :, None, None], bias)
    return _of_flattened_map(site) if len(shape) == _ROWS else site


def _of_flattened_map(site: QuantSite) -> QuantSite:
    """Lets a layer that reads a flattened map read the map."""
    view = producer(site.x)
    if view is None or view.op_type not in _VIEWS or view.domain or only_reader(site.x) is None:
        return site
    size = map_size(view.inputs[0])
    if view.inputs[0] is None or size is None or math.prod(size) != site.weights.shape[1]:
        return site
    return replace(
        site,
        x=view.inputs[0],
        weights=site.weights.reshape(-1, *size),
        in_front=(view,),
    )


def _with_steps_behind(site: QuantSite) -> QuantSite:
    """Takes up the steps behind a layer, one by one, until one has no place."""
    while (node := only_reader(site.end)) is not None and node.graph is site.layer.graph and not node.domain:
        further = _step_behind(site, node)
        if further is None:
            break
        site = replace(further, behind=(*site.behind, node))
    return site


def _step_behind(site: QuantSite, node: ir.Node) -> QuantSite | None:
    value, pooled = site.end, (*site.pool_kernel, *site.pool_strides) != (1, 1, 1, 1)
    if node.op_type in ("Clip", "Relu") and node.inputs[0] is value and site.activation == "none":
        activation = activation_of(node)
        return None if activation is None else replace(site, activation=activation)
    if node.op_type == "MaxPool" and not pooled:
        return _pool(site, node)
    if pooled or site.activation != "none":
        return None
    affine = _affine(node, value, len(site.weights))
    if affine is None:
        return None
    m = affine.multiplier
    return replace(site, weights=site.weights * m[:, None, None, None], bias=site.bias * m + affine.offset)


def _affine(node: ir.Node, value: ir.Value, outputs: int) -> ChannelAffine | None:
    """Returns the map per output channel that a node applies; None where it is none."""
    shape, result = shape_of(value), shape_of(node.outputs[0])
    if shape is None or result is None or len(result) != len(shape):  # a constant may add axes
        return None
    if node.op_type == "BatchNormalization" and node.inputs[0] is value:
        # Its channels are the second axis, and those of sequences' rows the third.
        return None if len(shape) == _SEQUENCE else batch_norm_affine(node)
    return _constant_step(node, value, outputs, len(shape)) if node.op_type in ("Add", "Mul") else None


def _constant_step(node: ir.Node, value: ir.Value, outputs: int, rank: int) -> ChannelAffine | None:
    """Returns the map that a sum or a product with a constant applies; None where it is none."""
    other = node.inputs[1 - list(node.inputs).index(value)]
    if other is value:
        return None
    # The channels of a map are its second axis, and those of rows their last one.
    constant = per_channel(other, outputs, 1 if rank == MAP_RANK else MAP_RANK - 1)
    if constant is None:
        return None
    if node.op_type == "Mul":
        return ChannelAffine(constant, np.zeros(outputs))
    return ChannelAffine(np.ones(outputs), constant)


def _pool(site: QuantSite, node: ir.Node) -> QuantSite | None:
    kernel, pads = ints(node, "kernel_shape"), ints(node, "pads", (0, 0, 0, 0))
    fits = (
        len(kernel) == len(site.pool_kernel)
        and has_plain_windows(node)
        and not integer(node, "ceil_mode", 0)
        and all(pad < kernel[i % 2] for i, pad in enumerate(pads))
    )
    if not fits:
        return None
    return replace(
        site, pool_kernel=(kernel[0], kernel[1]), pool_strides=_pair(node, "strides"), pool_pads=pads
    )


def _with_mean(site: QuantSite) -> QuantSite:
    """Takes up the mean in front of a layer, if only this layer reads it."""
    node = producer(site.x)
    if node is None or node.domain or only_reader(site.x) is None:
        return site
    found = _mean(node)
    x = node.inputs[0]
    if found is None or x is None or not is_map(x):
        return site
    kernel, strides = found
    flat = shape_of(site.x) or ()
    if len(flat) == _ROWS and kernel != (0, 0):
        return site
    return replace(site, x=x, mean_kernel=kernel, mean_strides=strides, in_front=(*site.in_front, node))


def _mean(node: ir.Node) -> tuple[Pair, Pair] | None:
    """Returns window and strides of the mean that a node is; None for others, and for padded ones."""
    if node.op_type == "GlobalAveragePool":
        return (0, 0), (1, 1)
    if node.op_type == "ReduceMean":
        return ((0, 0), (1, 1)) if is_map(node.inputs[0]) and reduced_axes(node) == [2, 3] else None
    kernel = ints(node, "kernel_shape")
    if node.op_type != "AveragePool" or len(kernel) != MAP_RANK - 2:
        return None
    if not is_plain_pool(node) or integer(node, "ceil_mode", 0):
        return None
    return (kernel[0], kernel[1]), _pair(node, "strides")
