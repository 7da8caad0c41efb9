"""The arithmetic of `ai.rbnn::QuantConv2d`, step by step as docs/ops/QuantConv2d.md has it.

Sums are matrix products of float64, for their speed, and exact: the specification bounds the sum of the
products' magnitudes below 2^31, so every partial sum, in any order, is a whole number below 2^53, and float64
holds these, with or without fused multiply-adds.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from rbnn_deploy.binary_conv2d_rules import check_per_channel
from rbnn_deploy.operators import QUANT_CONV2D_OPERATOR, QuantConv2dAttributes
from rbnn_deploy.quant_conv2d_rules import (
    QuantSizes,
    check_one_element,
    check_quant_weights,
    quant_sizes,
)
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import (
    Band,
    Float32,
    bands,
    check_types,
    finish,
    outputs_inside,
    place_of,
)
from rbnn_deploy.runtimes.numpy_backend.float_environment import check_float_environment

Float64 = npt.NDArray[np.float64]


def quant_conv2d(
    X: Float32,
    W: npt.NDArray[np.int8],
    scale: Float32,
    bias: Float32,
    factor: Float32,
    R: Float32 | None = None,
    *,
    attributes: QuantConv2dAttributes,
) -> Float32:
    """Computes the operator.

    Args:
        X: float32 [N, C, H, W] or [N, H, W, C], as `layout` says.
        W: int8 [O, KH, KW, C / groups].
        scale: float32 [O].
        bias: float32 [O].
        factor: float32, any shape of one element: integers per unit of X.
        R: float32 [N, OH, OW, O], or any shape of one element; None adds +0.
        attributes: The node's attributes.

    Returns:
        float32 [N, PH, PW, O].

    Raises:
        ValueError: An argument is not as the specification has it, or the thread flushes subnormal numbers.
    """
    check_float_environment()
    sizes = check_quant_arguments(X, W, scale, bias, factor, R, attributes=attributes)
    residual = np.zeros(1, np.float32) if R is None else R.ravel() if R.size == 1 else R
    weights = W.reshape(attributes.groups, len(W) // attributes.groups, -1).astype(np.float64)
    Y = np.empty((len(X), *sizes.pool, len(W)), np.float32)
    for n, x in enumerate(X if attributes.layout == "channels_last" else X.transpose(0, 2, 3, 1)):
        m = mean_map(x, sizes, attributes) if attributes.has_mean else x
        a = quantise(m, factor.reshape(()), attributes)
        y = np.empty((*sizes.conv, len(W)), np.float32)
        for band in bands(sizes.conv, max(weights.size // weights.shape[1], len(W))):
            place = place_of(band)
            acc = integer_sums(a, weights, W.shape[1:3], band, attributes)
            r = residual if residual.size == 1 else residual[n][place]
            y[place] = finish(acc, scale, bias, r, attributes.activation)
        Y[n] = max_pool(y, sizes, attributes) if attributes.has_pool else y
    return Y


def mean_map(x: Float32, sizes: QuantSizes, attributes: QuantConv2dAttributes) -> Float32:
    """Step 1, of one sample: [H, W, C] -> [rows, columns, C]."""
    rows, columns = attributes.mean_window(sizes.x)
    down, right = attributes.mean_strides
    total = np.zeros((*sizes.mean, x.shape[2]), np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        for i in range(rows):
            for j in range(columns):
                total += x[i::down, j::right][: sizes.mean[0], : sizes.mean[1]]
        mean: Float32 = (total / np.float64(rows * columns)).astype(np.float32)
    return mean


def quantise(m: Float32, factor: npt.NDArray[np.float32], attributes: QuantConv2dAttributes) -> Float64:
    """Step 2: whole numbers, of m's shape."""
    low, high = np.float32(attributes.low), np.float32(attributes.high)
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        v = m * factor
    v = np.where(v > low, v, low)  # not np.maximum: a NaN becomes low
    v = np.where(v < high, v, high)
    integers: Float64 = np.rint(v).astype(np.float64)
    return integers


def integer_sums(
    a: Float64,
    weights: Float64,
    kernel: tuple[int, int],
    band: Band,
    attributes: QuantConv2dAttributes,
) -> npt.NDArray[np.int32]:
    """Step 3, for one part of a sample's map.

    Args:
        a: Whole numbers [H, W, C].
        weights: [groups, O / groups, KH * KW * C / groups].
        kernel: (KH, KW).
        band: Output rows and columns.
        attributes: The node's attributes.

    Returns:
        int32 [rows, columns, O].
    """
    groups, channels = attributes.groups, attributes.group_channels
    apart = a.reshape(*a.shape[:2], groups, channels).transpose(2, 0, 1, 3)
    rows, columns = map(len, band)
    windows = np.zeros((groups, rows, columns, *kernel, channels), np.float64)
    top = band[0].start * attributes.strides[0] - attributes.pads[0]
    left = band[1].start * attributes.strides[1] - attributes.pads[1]
    for i in range(kernel[0]):
        out_rows, in_rows = outputs_inside(
            top + i * attributes.dilations[0], attributes.strides[0], a.shape[0], rows
        )
        for j in range(kernel[1]):
            out_columns, in_columns = outputs_inside(
                left + j * attributes.dilations[1], attributes.strides[1], a.shape[1], columns
            )
            windows[:, out_rows, out_columns, i, j] = apart[:, in_rows, in_columns]
    acc = windows.reshape(groups, rows * columns, -1) @ weights.transpose(0, 2, 1)
    return acc.transpose(1, 0, 2).reshape(rows, columns, -1).astype(np.int32)


def max_pool(y: Float32, sizes: QuantSizes, attributes: QuantConv2dAttributes) -> Float32:
    """Step 6, of one sample: [OH, OW, O] -> [PH, PW, O]."""
    (first_row, end_row), (first_column, end_column) = (
        _windows_inside(sizes, attributes, axis) for axis in (0, 1)
    )
    m = y[first_row[:, None], first_column]
    for i in range(int((end_row - first_row).max())):
        rows = first_row + i
        for j in range(int((end_column - first_column).max())):
            columns = first_column + j
            inside = (rows < end_row)[:, None] & (columns < end_column)
            values = y[np.minimum(rows, len(y) - 1)[:, None], np.minimum(columns, y.shape[1] - 1)]
            # The first element against itself changes nothing.
            m = np.where(inside[:, :, None] & (values > m), values, m)
    return m


def _windows_inside(
    sizes: QuantSizes, attributes: QuantConv2dAttributes, axis: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns where the part of each pool window that is inside the map begins and ends, along one axis."""
    first = np.arange(sizes.pool[axis]) * attributes.pool_strides[axis] - attributes.pool_pads[axis]
    end = np.minimum(first + attributes.pool_kernel[axis], sizes.conv[axis])
    return np.maximum(first, 0), end


def check_quant_arguments(
    X: Any, W: Any, scale: Any, bias: Any, factor: Any, R: Any, *, attributes: QuantConv2dAttributes
) -> QuantSizes:
    """Checks types and sizes as the operator library does.

    Returns:
        The sizes of the maps.

    Raises:
        ValueError: One sentence about the first argument that is not as the specification has it.
    """
    name, channels = attributes.operator, attributes.channels
    check_types(QUANT_CONV2D_OPERATOR, (X, W, scale, bias, factor, R), name)
    first = attributes.layout == "channels_first"
    if X.ndim != 4 or X.shape[1 if first else 3] != channels:
        shape = f"[N, {channels}, H, W]" if first else f"[N, H, W, {channels}]"
        raise ValueError(f"{name}: X must have shape {shape}, not {list(X.shape)}")
    if 0 in attributes.map_size(X.shape):
        raise ValueError(f"{name}: H and W of X must be at least 1, not {list(X.shape)}")
    try:
        check_quant_weights(W.shape, attributes)
        check_per_channel("scale", scale.shape, len(W))
        check_per_channel("bias", bias.shape, len(W))
        check_one_element("factor", factor.shape)
        sizes = quant_sizes(attributes.map_size(X.shape), W.shape[1:3], attributes)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    shape_of_R = (len(X), *sizes.conv, len(W))
    if R is not None and R.size != 1 and R.shape != shape_of_R:
        raise ValueError(f"{name}: R must have shape {list(shape_of_R)} or one element, not {list(R.shape)}")
    return sizes
