"""One row per operator: the function that turns its nodes into C calls."""

from collections.abc import Callable

from rbnn_deploy.exporters.c.graph import Graph, Node
from rbnn_deploy.exporters.c.operators import (
    binary_conv2d,
    conv2d,
    elementwise,
    matrix,
    movement,
    packed_binary_conv2d,
    packing,
    pooling,
    quant_conv2d,
    reduction,
    reshaping,
)

EMITTERS: dict[str, Callable[[Graph, Node], None]] = {
    "BinaryConv2d": binary_conv2d.emit,
    "GeneralBinaryConv2d": binary_conv2d.emit_general,
    "PackedBinaryConv2d": packed_binary_conv2d.emit,
    "PackSigns": packing.emit_pack,
    "UnpackSigns": packing.emit_unpack,
    "QuantConv2d": quant_conv2d.emit,
    "Conv": conv2d.emit,
    "Gemm": matrix.emit_gemm,
    "MatMul": matrix.emit_matmul,
    "MaxPool": pooling.emit,
    "AveragePool": pooling.emit,
    "GlobalAveragePool": reduction.emit_global,
    "ReduceMean": reduction.emit,
    "ReduceSum": reduction.emit,
    "ReduceMax": reduction.emit,
    "Clip": elementwise.emit_clip,
    "Relu": elementwise.emit_clip,
    "LeakyRelu": elementwise.emit_leaky_relu,
    "BatchNormalization": elementwise.emit_batch_norm,
    "Add": elementwise.emit_binary,
    "Sub": elementwise.emit_binary,
    "Mul": elementwise.emit_binary,
    "Div": elementwise.emit_binary,
    "Min": elementwise.emit_binary,
    "Max": elementwise.emit_binary,
    "Less": elementwise.emit_binary,
    "Greater": elementwise.emit_binary,
    "Where": elementwise.emit_where,
    "PRelu": elementwise.emit_binary,
    "Transpose": movement.emit_transpose,
    "Slice": movement.emit_slice,
    "Pad": movement.emit_pad,
    "Concat": movement.emit_concat,
    "Split": movement.emit_split,
    "Reshape": reshaping.emit,
    "Flatten": reshaping.emit,
    "Squeeze": reshaping.emit,
    "Unsqueeze": reshaping.emit,
    "Identity": reshaping.emit,
    "Constant": reshaping.emit_constant,
}

# Their code takes any layout: a Transpose behind them costs nothing if the values before it are stored so.
FOLLOWS_LAYOUT = frozenset({"Clip", "Relu", "LeakyRelu", "MaxPool", "AveragePool"})
