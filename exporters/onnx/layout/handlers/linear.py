"""Float layers that act on each pixel by itself.

1. BatchNormalization(T(x)) = T(m x + a) with m and a per channel (rbnn_deploy.affine, rule 1).
2. Conv(T(x)) with a 1 x 1 kernel, no padding and one group is a matrix product over the last axis:
   T(Slice(x, every stride-th pixel) W^T + b). With one channel per group it is a product per channel.

Other convolutions stay channels-first: ONNX has no other form, and ONNX Runtime none for float32 on CPUs.
"""

import numpy as np
from onnxscript import ir

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.exporters.onnx.graph import (
    MAP_AXES,
    constant_array,
    floating,
    integer,
    ints,
    operand,
    text,
)
from rbnn_deploy.exporters.onnx.layout.handler import Handler, Site


def batch_norm_affine(node: ir.Node) -> ChannelAffine | None:
    """Returns the constant map of a BatchNormalization node in inference; None where it is not constant."""
    arrays = [constant_array(operand(node, index)) for index in range(1, 5)]
    if integer(node, "training_mode", 0) or any(array is None for array in arrays):
        return None
    gamma, beta, mean, var = (np.asarray(array) for array in arrays)
    return ChannelAffine.from_batch_norm(gamma, beta, mean, var, floating(node, "epsilon", 1e-5))


def _batch_norm_refusal(node: ir.Node) -> str:
    return "" if batch_norm_affine(node) is not None else "the statistics are not constant"


def _batch_norm(site: Site) -> list[ir.Value]:
    affine = batch_norm_affine(site.node)
    assert affine is not None
    multiplier, offset = affine.rounded()
    scaled = site.writer.node("Mul", site.map(), site.writer.constant(multiplier), name=site.node.name)
    return [site.writer.node("Add", site.sized(scaled), site.writer.constant(offset))]


def _conv_refusal(node: ir.Node) -> str:
    weight = constant_array(operand(node, 1))
    if weight is None or weight.ndim != 4 or weight.shape[2:] != (1, 1):
        return "a float convolution of more than one pixel is channels-first"
    if any(ints(node, "pads")) or text(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return "the map is padded"
    groups = integer(node, "group", 1)
    if groups != 1 and weight.shape[:2] != (groups, 1):
        return "a grouped float convolution is channels-first"
    return ""


def _conv(site: Site) -> list[ir.Value]:
    node, weight = site.node, constant_array(operand(site.node, 1))
    assert weight is not None
    x, strides = site.map(), ints(site.node, "strides", (1, 1))
    if strides != (1, 1):
        starts, ends = np.zeros(2, np.int64), np.full(2, np.iinfo(np.int64).max)
        arrays = (starts, ends, np.array(MAP_AXES, np.int64), np.array(strides, np.int64))
        batch, _, _, channels = x.shape if x.shape is not None else (None,) * 4
        x = site.writer.node("Slice", x, *(site.writer.constant(array) for array in arrays), like=x)
        if node.outputs[0].shape is not None:
            x.shape = ir.Shape([batch, *list(node.outputs[0].shape)[2:], channels])
    if integer(node, "group", 1) == 1:
        factor = site.writer.constant(np.ascontiguousarray(weight[:, :, 0, 0].T))
        result = site.writer.node("MatMul", x, factor, name=node.name)
    else:
        result = site.writer.node("Mul", x, site.writer.constant(weight[:, 0, 0, 0]), name=node.name)
    if (bias := operand(node, 2)) is not None:
        result = site.writer.node("Add", site.sized(result), bias)
    return [result]


HANDLERS = {
    "BatchNormalization": Handler(_batch_norm, _batch_norm_refusal),
    "Conv": Handler(_conv, _conv_refusal),
}
