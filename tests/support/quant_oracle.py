"""An oracle for `ai.rbnn::QuantConv2d`: the specification once more, with nothing shared and nothing clever.

Means, integers and pools are taken number by number in Python, sums in int64, and float steps in float64 and
rounded. It imports nothing of the project, so an error there cannot hide here.
"""

import math
from collections.abc import Sequence

import numpy as np
from support.oracle import rounded_product, rounded_sum


def quant_conv2d(
    X: np.ndarray,
    W: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    factor: np.ndarray,
    R: np.ndarray | None,
    *,
    channels: int,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    layout: str,
    mean_kernel: Sequence[int],
    mean_strides: Sequence[int],
    low: int,
    high: int,
    activation: str,
    pool_kernel: Sequence[int],
    pool_strides: Sequence[int],
    pool_pads: Sequence[int],
) -> np.ndarray:
    """Computes Y as docs/ops/QuantConv2d.md says; shapes and types as there."""
    samples = [integers(means(x, layout, mean_kernel, mean_strides), factor.item(), low, high) for x in X]
    outputs, KH, KW, _ = W.shape
    size = (X.shape[2:4] if layout == "channels_first" else X.shape[1:3]) if not samples else ()
    MH, MW = samples[0].shape[:2] if samples else mean_size(size, mean_kernel, mean_strides)
    top, left, bottom, right = pads
    OH = (MH + top + bottom - dilations[0] * (KH - 1) - 1) // strides[0] + 1
    OW = (MW + left + right - dilations[1] * (KW - 1) - 1) // strides[1] + 1
    acc = np.zeros((len(X), OH, OW, outputs), np.int64)
    for n, a in enumerate(samples):
        for p in range(OH):
            for q in range(OW):
                for i in range(KH):
                    for j in range(KW):
                        h = p * strides[0] + i * dilations[0] - top
                        w = q * strides[1] + j * dilations[1] - left
                        if not (0 <= h < MH and 0 <= w < MW):
                            continue
                        for g in range(groups):
                            ins = slice(g * channels // groups, (g + 1) * channels // groups)
                            outs = slice(g * outputs // groups, (g + 1) * outputs // groups)
                            acc[n, p, q, outs] += W[outs, i, j].astype(np.int64) @ a[h, w, ins]
    with np.errstate(all="ignore"):
        y = rounded_product(acc.astype(np.float32), scale)
        y = rounded_sum(y, bias)
        y = rounded_sum(y, np.zeros(1, np.float32) if R is None else R.ravel() if R.size == 1 else R)
    if activation == "hardtanh":
        y[y < -1] = -1
        y[y > 1] = 1
    if activation == "relu":
        y[y < 0] = 0
    return pooled(y, pool_kernel, pool_strides, pool_pads)


def mean_size(size: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Returns rows and columns of the map of means of a map [H, W]."""
    return [(size[d] - (kernel[d] or size[d])) // strides[d] + 1 for d in (0, 1)]


def means(x: np.ndarray, layout: str, kernel: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """Step 1: one sample -> float32 [rows, columns, C]."""
    if layout == "channels_first":
        x = np.moveaxis(x, 0, 2)
    if tuple(kernel) == (1, 1) and tuple(strides) == (1, 1):
        return x
    h, w = kernel[0] or x.shape[0], kernel[1] or x.shape[1]
    rows, columns = mean_size(x.shape[:2], kernel, strides)
    result = np.empty((rows, columns, x.shape[2]), np.float32)
    for u in range(rows):
        for v in range(columns):
            for c in range(x.shape[2]):
                total = 0.0
                for i in range(h):
                    for j in range(w):
                        total += float(x[u * strides[0] + i, v * strides[1] + j, c])
                with np.errstate(all="ignore"):
                    result[u, v, c] = np.float32(total / float(h * w))
    return result


def integers(m: np.ndarray, factor: float, low: int, high: int) -> np.ndarray:
    """Step 2: float32 -> int64; Python's round takes ties to even."""
    with np.errstate(all="ignore"):
        v = (m.astype(np.float64) * factor).astype(np.float32)

    def integer(value: float) -> int:
        if math.isnan(value) or value <= low:
            return low
        return high if value >= high else round(value)

    return np.array([integer(value) for value in v.ravel().tolist()], np.int64).reshape(m.shape)


def pooled(y: np.ndarray, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int]) -> np.ndarray:
    """Step 6: [N, OH, OW, O] -> [N, PH, PW, O]."""
    N, OH, OW, outputs = y.shape
    PH = (OH + pads[0] + pads[2] - kernel[0]) // strides[0] + 1
    PW = (OW + pads[1] + pads[3] - kernel[1]) // strides[1] + 1
    result = np.empty((N, PH, PW, outputs), np.float32)
    for n, p, q, o in np.ndindex(N, PH, PW, outputs):
        m = None
        for h in range(p * strides[0] - pads[0], p * strides[0] - pads[0] + kernel[0]):
            for w in range(q * strides[1] - pads[1], q * strides[1] - pads[1] + kernel[1]):
                if 0 <= h < OH and 0 <= w < OW and (m is None or y[n, h, w, o] > m):
                    m = y[n, h, w, o]
        assert m is not None
        result[n, p, q, o] = m
    return result
