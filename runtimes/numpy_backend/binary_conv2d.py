"""The arithmetic of `ai.rbnn::BinaryConv2d` on packed bits, in NumPy and nothing else.

`docs/ops/BinaryConv2d.md` is the specification; the functions below are its steps, in its order. With
bits a, w in {0, 1} that stand for -1 and +1, a product is +1 where a == w, else -1, so over K products

    acc = (K - mismatches) - mismatches = K - 2 popcount(a xor w).

K counts the products of the taps inside the image alone; a padded tap is not visited at all.

While bits are counted, samples are the last axis: a tap's window cuts rows and columns but never samples, so
NumPy's inner loops stay long.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rbnn_deploy.binary_conv2d_rules import check_map, check_per_channel, check_weights
from rbnn_deploy.bits import pack_signs, unpack_signs
from rbnn_deploy.operators import (
    BINARY_CONV2D_OPERATOR,
    BOUNDS,
    Activation,
    BinaryConv2dAttributes,
    ConvolutionAttributes,
    Operator,
)
from rbnn_deploy.runtimes.numpy_backend.float_environment import check_float_environment
from rbnn_deploy.runtimes.numpy_backend.threshold import binarise

Float32 = npt.NDArray[np.float32]
Words = npt.NDArray[np.unsignedinteger[Any]]
Band = tuple[range, range]

# How many sums are computed at a time: a few MB of temporaries, about the size of a core's cache. So a file
# whose padding makes a large map of a small one takes little more memory than its output.
BLOCK_SUMS = 1 << 18
DTYPES = {
    "float": np.dtype(np.float32),
    "uint8": np.dtype(np.uint8),
    "int8": np.dtype(np.int8),
    "int32": np.dtype(np.int32),
}


def binary_conv2d(
    X: Float32,
    W: npt.NDArray[np.uint8],
    scale: Float32,
    bias: Float32,
    R: Float32 | None = None,
    *,
    attributes: BinaryConv2dAttributes,
) -> Float32:
    """Computes the operator.

    Args:
        X: float32 [N, H, W, C], activations.
        W: uint8 [O, KH, KW, ceil(C / groups / 8)], packed weights.
        scale: float32 [O].
        bias: float32 [O].
        R: float32 [N, OH, OW, O], or any shape of one element; None adds +0.
        attributes: The node's attributes.

    Returns:
        float32 [N, OH, OW, O].

    Raises:
        ValueError: An argument is not as the specification has it, or the thread flushes subnormal numbers.
    """
    check_float_environment()
    check_arguments(X, W, scale, bias, R, attributes=attributes)
    weights = weight_words(W, attributes)
    out_channels, KH, KW, _ = W.shape
    OH, OW = attributes.output_size(X.shape[1:3], (KH, KW))
    residual = np.zeros(1, np.float32) if R is None else R

    Y = np.empty((len(X), OH, OW, out_channels), np.float32)
    block = max(1, BLOCK_SUMS // (OH * OW * out_channels))
    for start in range(0, len(X), block):
        part = slice(start, start + block)
        words = activation_words(binarise(X[part], attributes.threshold), attributes)
        for band in bands((OH, OW), out_channels):
            place = (part, *place_of(band))
            acc = accumulate(words, weights, band, attributes)
            r = residual.ravel() if residual.size == 1 else residual[place]
            Y[place] = finish(acc, scale, bias, r, attributes.activation)
    return Y


def bands(size: tuple[int, int], out_channels: int) -> Iterator[Band]:
    """Yields the parts of an output map (OH, OW): whole rows, or parts of one row."""
    OH, OW = size
    columns = min(OW, max(1, BLOCK_SUMS // out_channels))
    rows = max(1, BLOCK_SUMS // (out_channels * OW))
    for top in range(0, OH, rows):
        for left in range(0, OW, columns):
            yield range(top, min(top + rows, OH)), range(left, min(left + columns, OW))


def place_of(band: Band) -> tuple[slice, slice]:
    """Returns a band as an index of rows and columns."""
    rows, columns = band
    return slice(rows.start, rows.stop), slice(columns.start, columns.stop)


def finish(
    acc: npt.NDArray[np.int32], scale: Float32, bias: Float32, r: Float32, activation: Activation
) -> Float32:
    """Steps 4 and 5: NumPy rounds each operation to float32 on its own.

    Args:
        acc: int32 [N, OH, OW, O].
        scale: float32 [O].
        bias: float32 [O].
        r: float32, the residual: [1] or [N, OH, OW, O].
        activation: Applied last.

    Returns:
        float32 [N, OH, OW, O].
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        y: Float32 = acc.astype(np.float32) * scale
        y = y + bias
        y = y + r
    return activate(y, activation)


def activate(y: Float32, activation: Activation) -> Float32:
    """Step 5."""
    # Comparisons, not np.clip or np.maximum: a NaN and a -0.0 must pass as they are.
    for bound, outside in zip(BOUNDS[activation], (np.less, np.greater), strict=True):
        if np.isfinite(bound):
            y = np.where(outside(y, bound), np.float32(bound), y)
    return y


def accumulate(
    words: Words,
    weights: Words,
    band: Band,
    attributes: ConvolutionAttributes,
    pad_value: int = 0,
) -> npt.NDArray[np.int32]:
    """Step 3, for one block of samples and one part of their maps.

    Args:
        words: Activations [words, G, 1, H, W, N].
        weights: [KH, KW, words, G, O / G, 1, 1, 1].
        band: Output rows and columns.
        attributes: The node's attributes.
        pad_value: What a padded tap counts.

    Returns:
        int32 [N, rows, columns, O].
    """
    KH, KW, _, G, O_per_group, *_ = weights.shape
    H, W, N = words.shape[3:]
    rows, columns = (len(axis) for axis in band)
    top, left, _, _ = attributes.pads
    # Where the tap (0, 0) of the band's first output falls.
    first_row = band[0].start * attributes.strides[0] - top
    first_column = band[1].start * attributes.strides[1] - left

    mismatches = np.zeros((G, O_per_group, rows, columns, N), np.int32)
    taps_inside = np.zeros((rows, columns, 1), np.int32)
    padding = np.zeros((G, O_per_group, rows, columns, 1), np.int32)
    for i in range(KH):
        out_rows, in_rows = outputs_inside(
            first_row + i * attributes.dilations[0], attributes.strides[0], H, rows
        )
        for j in range(KW):
            out_columns, in_columns = outputs_inside(
                first_column + j * attributes.dilations[1], attributes.strides[1], W, columns
            )
            taps_inside[out_rows, out_columns] += 1
            for a, w in zip(words[:, :, :, in_rows, in_columns], weights[i, j], strict=True):
                mismatches[:, :, out_rows, out_columns] += np.bitwise_count(a ^ w)
            if pad_value:
                ones = np.bitwise_count(weights[i, j]).sum(axis=0, dtype=np.int32)
                total = pad_value * (2 * ones - attributes.group_channels)
                padding += total
                padding[:, :, out_rows, out_columns] -= total

    acc = taps_inside * np.int32(attributes.group_channels) - 2 * mismatches + padding
    return acc.reshape(G * O_per_group, rows, columns, N).transpose(3, 1, 2, 0)


def outputs_inside(offset: int, stride: int, extent: int, out_extent: int) -> tuple[slice, slice]:
    """Finds, along one axis, the outputs p whose tap at p * stride + offset lies inside 0 .. extent - 1.

    Returns:
        (slice of outputs, slice of inputs), of equal length, which may be 0.
    """
    first = max(0, -(offset // stride))  # the smallest p with p * stride + offset >= 0
    end = min(out_extent, (extent - 1 - offset) // stride + 1)
    if end <= first:
        return slice(0, 0), slice(0, 0)
    return slice(first, end), slice(first * stride + offset, (end - 1) * stride + offset + 1, stride)


def activation_words(bits: npt.NDArray[np.bool_], attributes: ConvolutionAttributes) -> Words:
    """Packs bool [N, H, W, C] into words [words, G, 1, H, W, N]."""
    N, H, W, C = bits.shape
    grouped = bits.reshape(N, H, W, attributes.groups, C // attributes.groups)
    packed = pack_signs(np.where(grouped, np.int8(1), np.int8(-1)))
    return np.ascontiguousarray(_widen(packed).transpose(4, 3, 1, 2, 0))[:, :, None]


def weight_words(W: npt.NDArray[np.uint8], attributes: ConvolutionAttributes) -> Words:
    """Rearranges uint8 [O, KH, KW, bytes] into words [KH, KW, words, G, O / G, 1, 1, 1]."""
    # Through signs and back: bits behind the last channel count for nothing, whatever a file has there.
    words = _widen(pack_signs(unpack_signs(W, attributes.group_channels)))
    out_channels, KH, KW, count = words.shape
    grouped = words.reshape(attributes.groups, out_channels // attributes.groups, KH, KW, count)
    return grouped.transpose(2, 3, 4, 0, 1)[..., None, None, None]


def _widen(packed: npt.NDArray[np.uint8]) -> Words:
    """Joins the bytes of the last axis into words, so that one operation counts up to 64 bits.

    Zero bytes are appended where the last word is not full; they are equal on both sides and so never count.
    """
    count = packed.shape[-1]
    size = next((size for size in (1, 2, 4) if count <= size), 8)
    padded = np.zeros((*packed.shape[:-1], -(-count // size) * size), np.uint8)
    padded[..., :count] = packed
    return padded.view(f"u{size}")


def check_arguments(
    X: Any, W: Any, scale: Any, bias: Any, R: Any, *, attributes: ConvolutionAttributes
) -> None:
    """Checks types and sizes as the operator library does.

    Raises:
        ValueError: One sentence about the first argument that is not as the specification has it.
    """
    name = attributes.operator
    check_types(BINARY_CONV2D_OPERATOR, (X, W, scale, bias, R), name)
    if X.ndim != 4 or X.shape[3] != attributes.channels:
        raise ValueError(f"{name}: X must have shape [N, H, W, {attributes.channels}], not {list(X.shape)}")
    if 0 in X.shape[1:3]:
        raise ValueError(f"{name}: H and W of X must be at least 1, not {list(X.shape)}")
    try:
        check_weights(W.shape, attributes)
        check_per_channel("scale", scale.shape, len(W))
        check_per_channel("bias", bias.shape, len(W))
        size, output_size = X.shape[1:3], attributes.output_size(X.shape[1:3], W.shape[1:3])
        check_map(size, output_size)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    shape = (len(X), *output_size, len(W))
    if R is not None and R.size != 1 and R.shape != shape:
        raise ValueError(f"{name}: R must have shape {list(shape)} or one element, not {list(R.shape)}")


def check_types(operator: Operator, inputs: Sequence[Any], name: str) -> None:
    """Checks the types of an operator's inputs, of which absent ones are None.

    Raises:
        ValueError: One is of another type.
    """
    for wanted, value in zip(operator.inputs, inputs, strict=True):
        if value is not None and value.dtype != DTYPES[wanted.dtype]:
            raise ValueError(f"{name}: {wanted.name} must be {DTYPES[wanted.dtype]}, not {value.dtype}")
