"""An oracle for `ai.rbnn::BinaryConv2d`: the specification once more, with nothing shared and nothing clever.

No packed words, no popcount, no sliced taps. Activations and weights are numbers +1 and -1, padding is a
border of zeros, the mean is summed value by value in Python's floats, and the float steps are taken in
float64 and rounded. It imports nothing of the project, so an error there cannot hide here.
"""

from collections.abc import Sequence

import numpy as np


def binary_conv2d(
    X: np.ndarray,
    W: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    R: np.ndarray | None,
    *,
    channels: int,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    threshold: str,
    activation: str,
) -> np.ndarray:
    """Computes Y as docs/ops/BinaryConv2d.md says; shapes and types as there."""
    acc = accumulate(
        X,
        W,
        channels=channels,
        strides=strides,
        pads=pads,
        dilations=dilations,
        groups=groups,
        threshold=threshold,
    )
    # A product of two float32 is exact in float64. A sum need not be, but rounding it to float64 and then to
    # float32 gives what one rounding would: 53 >= 2 * 24 + 2 bits (Figueroa, 1995).
    with np.errstate(all="ignore"):
        y = (acc * scale.astype(np.float64)).astype(np.float32)
        y = (y.astype(np.float64) + bias.astype(np.float64)).astype(np.float32)
        r = np.zeros(1) if R is None else R.ravel()[0] if R.size == 1 else R
        y = (y.astype(np.float64) + np.asarray(r, np.float64)).astype(np.float32)
    if activation == "hardtanh":
        y[y < -1] = -1
        y[y > 1] = 1
    if activation == "relu":
        y[y < 0] = 0
    return y


def general_binary_conv2d(
    X: np.ndarray,
    W: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    R: np.ndarray | None,
    T: np.ndarray | None,
    window_sum: np.ndarray | None,
    neg: np.ndarray | None,
    pos: np.ndarray | None,
    post: np.ndarray | None,
    border: np.ndarray | None = None,
    *,
    channels: int,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    threshold: str,
    activation: str,
    residual: str,
    pad_value: int,
) -> np.ndarray:
    """Computes Y as docs/ops/GeneralBinaryConv2d.md says; shapes and types as there."""
    sums = {"channels": channels, "strides": strides, "pads": pads, "dilations": dilations, "groups": groups}
    sums |= {"threshold": threshold, "T": T, "pad_value": pad_value}
    outputs = len(W)
    with np.errstate(all="ignore"):
        y = rounded_product(accumulate(X, W, **sums), scale)
        y = rounded_sum(y, bias)
        before = residual == "before_activation"
        r = np.float32([0]) if R is None else R.ravel() if R.size == 1 else R
        y = rounded_sum(y, r if before else np.float32([0]))
        if border is not None and not (border.size == 1 and border.item() == 0):
            add_border(y, border, X.shape[1:3], W.shape[1:3], strides, pads, dilations)
        if window_sum is not None and not (window_sum.size == 1 and window_sum.item() == 0):
            ones = np.full_like(W, 255)
            y = rounded_sum(y, rounded_product(accumulate(X, ones, **sums), each(window_sum, outputs, 0)))
        if activation == "hardtanh":
            y[y < -1] = -1
            y[y > 1] = 1
        if activation == "relu":
            y[y < 0] = 0
        if activation == "prelu":
            below = rounded_product(y, each(neg, outputs, 0))
            above = rounded_product(y, each(pos, outputs, 1))
            y = rounded_sum(np.where(y < 0, below, above), each(post, outputs, 0))
        return y if before else rounded_sum(y, r)


def add_border(
    y: np.ndarray,
    border: np.ndarray,
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> None:
    """Adds step 4.4 to y, pixel by pixel."""
    for p in range(y.shape[1]):
        for q in range(y.shape[2]):
            total = None
            for i in range(kernel[0]):
                for j in range(kernel[1]):
                    h = p * strides[0] - pads[0] + i * dilations[0]
                    w = q * strides[1] - pads[1] + j * dilations[1]
                    if 0 <= h < size[0] and 0 <= w < size[1]:
                        continue
                    value = np.full(y.shape[3], border.item()) if border.size == 1 else border[i, j]
                    total = np.zeros(y.shape[3], np.float32) if total is None else total
                    total = rounded_sum(total, value)
            if total is not None:
                y[:, p, q] = rounded_sum(y[:, p, q], total)


def rounded_product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Multiplies; a product of two float32 is exact in float64, so it is rounded once."""
    return (left.astype(np.float64) * right.astype(np.float64)).astype(np.float32)


def rounded_sum(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Adds as float32 does; see `binary_conv2d`."""
    return (left.astype(np.float64) + right.astype(np.float64)).astype(np.float32)


def each(values: np.ndarray | None, count: int, absent: float) -> np.ndarray:
    """Returns one value per channel."""
    if values is None:
        return np.full(count, absent, np.float32)
    return np.full(count, values.item(), np.float32) if values.size == 1 else values


def accumulate(
    X: np.ndarray,
    W: np.ndarray,
    *,
    channels: int,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    threshold: str,
    T: np.ndarray | None = None,
    pad_value: int = 0,
) -> np.ndarray:
    """Returns the sums of step 3, int64 [N, OH, OW, O]."""
    N, H, width, _ = X.shape
    outputs, KH, KW, _ = W.shape
    top, left, bottom, right = pads
    limits = [mean(sample) if threshold == "sample_mean" else np.float32(0) for sample in X]
    if threshold == "per_channel":
        limits = [each(T, channels, 0)] * N
    padded = np.full((N, H + top + bottom, width + left + right, channels), pad_value, np.int64)
    for n, limit in enumerate(limits):
        padded[n, top : top + H, left : left + width] = np.where(X[n] >= limit, 1, -1)

    signs = weight_signs(W, channels // groups)
    OH = (padded.shape[1] - dilations[0] * (KH - 1) - 1) // strides[0] + 1
    OW = (padded.shape[2] - dilations[1] * (KW - 1) - 1) // strides[1] + 1
    acc = np.zeros((N, OH, OW, outputs), np.int64)
    for g in range(groups):
        ins = slice(g * channels // groups, (g + 1) * channels // groups)
        outs = slice(g * outputs // groups, (g + 1) * outputs // groups)
        for i in range(KH):
            rows = np.arange(OH) * strides[0] + i * dilations[0]
            for j in range(KW):
                columns = np.arange(OW) * strides[1] + j * dilations[1]
                a = padded[:, rows][:, :, columns][..., ins]
                # In float64 for the speed of its matrix product; whole numbers this small are exact in it.
                acc[..., outs] += (a.astype(np.float64) @ signs[outs, i, j].T.astype(np.float64)).astype(
                    np.int64
                )
    return acc


def weight_signs(W: np.ndarray, count: int) -> np.ndarray:
    """Returns int64 [O, KH, KW, count] of +1 and -1: bit i of byte j is channel 8j + i, and 1 is +1."""
    return np.stack([np.where((W[..., c // 8] >> (c % 8)) & 1, 1, -1) for c in range(count)], axis=-1).astype(
        np.int64
    )


def mean(sample: np.ndarray) -> np.float32:
    """Returns one sample's mean, summed as the specification's four numbered steps have it."""
    total = 0.0
    for row in sample:
        lanes = [0.0] * 16
        for j, value in enumerate(row.ravel().tolist()):
            lanes[j % 16] += value
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [lanes[i] + lanes[i + half] for i in range(half)]
        total += lanes[0]
    with np.errstate(all="ignore"):
        return np.float32(np.float64(total) / np.float64(sample.size))


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two float32 arrays hold the same bits, where any NaN equals any other (docs: NaN)."""
    if left.dtype != np.float32 or right.dtype != np.float32 or left.shape != right.shape:
        return False
    equal = np.ascontiguousarray(left).view(np.uint32) == np.ascontiguousarray(right).view(np.uint32)
    return bool(np.all(equal | (np.isnan(left) & np.isnan(right))))
