"""The arithmetic of `ai.rbnn::GeneralBinaryConv2d`, step by step as docs/ops/GeneralBinaryConv2d.md has it.

Thresholds, bits, sums and the first float steps are those of BinaryConv2d (binary_conv2d.py).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rbnn_deploy.binary_conv2d_rules import check_general_input, general_shapes
from rbnn_deploy.operators import GENERAL_BINARY_CONV2D_OPERATOR, GeneralBinaryConv2dAttributes
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import (
    BLOCK_SUMS,
    Band,
    Float32,
    Words,
    accumulate,
    activate,
    activation_words,
    bands,
    check_arguments,
    check_types,
    finish,
    place_of,
    weight_words,
)
from rbnn_deploy.runtimes.numpy_backend.float_environment import check_float_environment
from rbnn_deploy.runtimes.numpy_backend.threshold import binarise


def general_binary_conv2d(
    X: Float32,
    W: npt.NDArray[np.uint8],
    scale: Float32,
    bias: Float32,
    R: Float32 | None = None,
    T: Float32 | None = None,
    window_sum: Float32 | None = None,
    neg: Float32 | None = None,
    pos: Float32 | None = None,
    post: Float32 | None = None,
    border: Float32 | None = None,
    *,
    attributes: GeneralBinaryConv2dAttributes,
) -> Float32:
    """Computes the operator; None stands for an absent input.

    Args:
        X: float32 [N, H, W, C], activations.
        W: uint8 [O, KH, KW, ceil(C / groups / 8)], packed weights.
        scale: float32 [O].
        bias: float32 [O].
        R: float32 [N, OH, OW, O], or any shape of one element.
        T: float32 [C], or any shape of one element, as the following ones, which are [O].
        window_sum: Factor of the sum of the window's signs.
        neg: Slope of negative values.
        pos: Slope of all others.
        post: Added behind the slope.
        border: float32 [KH, KW, O], or any shape of one element: added for each padded tap.
        attributes: The node's attributes.

    Returns:
        float32 [N, OH, OW, O].

    Raises:
        ValueError: An argument is not as the specification has it, or the thread flushes subnormal numbers.
    """
    check_float_environment()
    check_arguments(X, W, scale, bias, R, attributes=attributes)
    extras = {"T": T, "window_sum": window_sum, "neg": neg, "pos": pos, "post": post, "border": border}
    check_types(GENERAL_BINARY_CONV2D_OPERATOR, (X, W, scale, bias, R, *extras.values()), attributes.operator)
    try:
        for name, full in general_shapes(attributes, W.shape).items():
            value = extras[name]
            check_general_input(name, None if value is None else value.shape, full)
    except ValueError as error:
        raise ValueError(f"{attributes.operator}: {error}") from None
    window_sum, border = _unless_zero(window_sum), _unless_zero(border)

    weights = weight_words(W, attributes)
    size = attributes.output_size(X.shape[1:3], W.shape[1:3])
    zero = np.zeros(1, np.float32)
    residual = zero if R is None else R.ravel() if R.size == 1 else R
    Y = np.empty((len(X), *size, len(W)), np.float32)
    block = max(1, BLOCK_SUMS // (size[0] * size[1] * len(W)))
    for start in range(0, len(X), block):
        part = slice(start, start + block)
        words = activation_words(_bits(X[part], T, attributes), attributes)
        for band in bands(size, len(W)):
            place = (part, *place_of(band))
            r = residual if residual.size == 1 else residual[place]
            acc = accumulate(words, weights, band, attributes, attributes.pad_value)
            before = attributes.residual == "before_activation"
            y = finish(acc, scale, bias, r if before else zero, "none")
            with np.errstate(over="ignore", invalid="ignore", under="ignore"):
                if border is not None:
                    y = with_border(y, border, X.shape[1:3], W.shape, band, attributes)
                if window_sum is not None:
                    sums = window_sums(words, weights, band, attributes)
                    y = y + sums.astype(np.float32) * _row(window_sum)
                if attributes.activation == "prelu":
                    assert neg is not None
                    slope = np.where(y < 0, _row(neg), np.float32(1) if pos is None else _row(pos))
                    y = y * slope
                    y = y + (zero if post is None else _row(post))
                else:
                    y = activate(y, attributes.activation)
                Y[place] = y if before else y + r
    return Y


def window_sums(
    words: Words, weights: Words, band: Band, attributes: GeneralBinaryConv2dAttributes
) -> npt.NDArray[np.int32]:
    """Returns S of step 3, int32 [N, rows, columns, O]: the sums that weights of +1 would give."""
    KH, KW, _, groups, group_outputs, *_ = weights.shape
    channels = attributes.group_channels
    packed = np.zeros((groups, KH, KW, attributes.packed_channels), np.uint8)
    packed[:] = np.packbits(np.ones(channels, bool), bitorder="little")
    ones = weight_words(packed, attributes)
    return accumulate(words, ones, band, attributes, attributes.pad_value).repeat(group_outputs, axis=-1)


def _bits(X: Float32, T: Float32 | None, attributes: GeneralBinaryConv2dAttributes) -> npt.NDArray[np.bool_]:
    if attributes.threshold == "per_channel":
        assert T is not None
        return np.greater_equal(X, _row(T))
    return binarise(X, attributes.threshold)


def _unless_zero(values: Float32 | None) -> Float32 | None:
    """Returns None in place of one element that is zero, which the specification does not add."""
    return None if values is not None and values.size == 1 and values.ravel()[0] == 0 else values


def with_border(
    y: Float32,
    border: Float32,
    size: Sequence[int],
    W: Sequence[int],
    band: Band,
    attributes: GeneralBinaryConv2dAttributes,
) -> Float32:
    """Takes step 4.4 for a part of the map.

    Args:
        y: float32 [N, rows, columns, O].
        border: float32 [KH, KW, O], or one element.
        size: (H, W) of the input map.
        W: The shape of the packed weights.
        band: Output rows and columns.
        attributes: The node's attributes.
    """
    out_channels, KH, KW, _ = W
    taps = np.broadcast_to(border if border.size > 1 else border.ravel(), (KH, KW, out_channels))
    outside = []  # along each axis, bool [positions, taps]
    for axis, count in enumerate((KH, KW)):
        first = np.asarray(band[axis]) * attributes.strides[axis] - attributes.pads[axis]
        places = first[:, None] + np.arange(count) * attributes.dilations[axis]
        outside.append((places < 0) | (places >= size[axis]))
    total = np.zeros(y.shape[1:], np.float32)
    padded = np.zeros(y.shape[1:3], bool)
    for i in range(KH):
        for j in range(KW):
            here = outside[0][:, i, None] | outside[1][None, :, j]
            total[here] += taps[i, j]
            padded |= here
    return np.where(padded[:, :, None], y + total, y)


def _row(values: Float32) -> Float32:
    """Returns one value per channel, or the only one, in a shape that broadcasts along the last axis."""
    return values.ravel()
