"""The arithmetic of PackedBinaryConv2d, PackSigns and UnpackSigns, as their pages in docs/ops have it.

Sums are those of BinaryConv2d (binary_conv2d.py).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rbnn_deploy.binary_conv2d_rules import check_map, check_per_channel, check_weights
from rbnn_deploy.bits import packed_size, unpack_signs
from rbnn_deploy.operators import (
    PACK_SIGNS,
    PACK_SIGNS_OPERATOR,
    PACKED_BINARY_CONV2D,
    PACKED_BINARY_CONV2D_OPERATOR,
    UNPACK_SIGNS,
    UNPACK_SIGNS_OPERATOR,
    PackedBinaryConv2dAttributes,
)
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import (
    BLOCK_SUMS,
    Float32,
    accumulate,
    activation_words,
    bands,
    check_types,
    place_of,
    weight_words,
)
from rbnn_deploy.runtimes.numpy_backend.float_environment import check_float_environment

Packed = npt.NDArray[np.uint8]


def pack_signs_of_map(X: Float32, T: Float32) -> Packed:
    """Computes PackSigns.

    Args:
        X: float32 [N, H, W, C].
        T: float32 [C], or any shape of one element.

    Returns:
        uint8 [N, H, W, ceil(C / 8)].

    Raises:
        ValueError: An argument is not as the specification has it, or the thread flushes subnormal numbers.
    """
    check_float_environment()
    check_types(PACK_SIGNS_OPERATOR, (X, T), PACK_SIGNS)
    if X.ndim != 4 or 0 in X.shape[1:]:
        raise ValueError(f"{PACK_SIGNS}: X must have shape [N, H, W, C], not {list(X.shape)}")
    if T.size != 1 and T.shape != X.shape[3:]:
        wanted = f"shape {list(X.shape[3:])} or one element"
        raise ValueError(f"{PACK_SIGNS}: T must have {wanted}, not {list(T.shape)}")
    return np.packbits(np.greater_equal(X, T.ravel()), axis=-1, bitorder="little")


def unpack_signs_of_map(X: Packed, channels: int) -> Float32:
    """Computes UnpackSigns.

    Args:
        X: uint8 [N, H, W, ceil(channels / 8)].
        channels: C.

    Returns:
        float32 [N, H, W, C], each +1 or -1.

    Raises:
        ValueError: X is not as the specification has it.
    """
    check_types(UNPACK_SIGNS_OPERATOR, (X,), UNPACK_SIGNS)
    _check_packed(UNPACK_SIGNS, X, channels)
    return unpack_signs(X, channels).astype(np.float32)


def packed_binary_conv2d(
    X: Packed,
    W: Packed,
    T: npt.NDArray[np.int32],
    *,
    attributes: PackedBinaryConv2dAttributes,
) -> Packed:
    """Computes the operator.

    Args:
        X: uint8 [N, H, W, ceil(C / 8)], packed activations.
        W: uint8 [O, KH, KW, ceil(C / groups / 8)], packed weights.
        T: int32 [O], thresholds of the sums.
        attributes: The node's attributes.

    Returns:
        uint8 [N, PH, PW, ceil(O / 8)].

    Raises:
        ValueError: An argument is not as the specification has it.
    """
    size = _check((X, W, T), attributes)
    weights, outputs = weight_words(W, attributes), len(W)
    OH, OW = attributes.conv_size(X.shape[1:3], W.shape[1:3])
    down, across = attributes.pool
    Y = np.empty((len(X), *size, packed_size(outputs)), np.uint8)
    block = max(1, BLOCK_SUMS // (OH * OW * outputs))
    for start in range(0, len(X), block):
        part = X[start : start + block]
        words = activation_words(unpack_signs(part, attributes.channels) > 0, attributes)
        passed = np.empty((len(part), OH, OW, outputs), np.bool_)
        for band in bands((OH, OW), outputs):
            acc = accumulate(words, weights, band, attributes, attributes.pad_value)
            passed[(slice(None), *place_of(band))] = acc >= T
        windows = passed[:, : size[0] * down, : size[1] * across].reshape(
            len(part), size[0], down, size[1], across, outputs
        )
        Y[start : start + block] = np.packbits(windows.any(axis=(2, 4)), axis=-1, bitorder="little")
    return Y


def _check(inputs: Sequence[Any], attributes: PackedBinaryConv2dAttributes) -> tuple[int, int]:
    """Checks types and sizes as the operator library does; returns (PH, PW)."""
    X, W, T = inputs
    name = PACKED_BINARY_CONV2D
    check_types(PACKED_BINARY_CONV2D_OPERATOR, inputs, name)
    _check_packed(name, X, attributes.channels)
    try:
        check_weights(W.shape, attributes)
        check_per_channel("T", T.shape, len(W))
        check_map(X.shape[1:3], attributes.conv_size(X.shape[1:3], W.shape[1:3]))
        return attributes.output_size(X.shape[1:3], W.shape[1:3])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_packed(name: str, X: Any, channels: int) -> None:
    if X.ndim != 4 or X.shape[3] != packed_size(channels):
        wanted = f"[N, H, W, {packed_size(channels)}]"
        raise ValueError(f"{name}: X must have shape {wanted}, 8 channels per byte, not {list(X.shape)}")
    if 0 in X.shape[1:3]:
        raise ValueError(f"{name}: H and W of X must be at least 1, not {list(X.shape)}")
