"""Float layers for onnx's reference evaluator whose sums have one order, as the generated C has it.

NumPy's own products and means are summed in an order that depends on the processor. Here each sum is +0 plus
its terms, one after the other, each step rounded to float32, so that the bits are the same everywhere.

- Conv: products in the order (c, i, j), taps outside of the map as zeros, then the bias.
- Gemm, MatMul: products in ascending order, then the bias.
- ReduceMean, ReduceSum, GlobalAveragePool: elements in ascending order, then the division by their number.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

from rbnn_deploy.runtimes.numpy_backend.operators import NEW_OPS

Float32 = npt.NDArray[np.float32]


def _sum_in_order(terms: Iterable[Float32], like: Float32) -> Float32:
    total = np.zeros_like(like)
    for term in terms:
        total = total + term
    return total


class Conv(OpRun):
    """A two-dimensional convolution with explicit pads."""

    op_domain = ""

    def _run(self, x: Float32, w: Float32, b: Float32 | None = None, **attributes: Any) -> tuple[Float32]:
        groups = attributes.get("group") or 1
        strides, dilations = (attributes.get(name) or (1, 1) for name in ("strides", "dilations"))
        top, left, bottom, right = attributes.get("pads") or (0, 0, 0, 0)
        count, channels, KH, KW = w.shape
        padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        OH, OW = (
            (padded.shape[2 + axis] - dilations[axis] * (taps - 1) - 1) // strides[axis] + 1
            for axis, taps in enumerate((KH, KW))
        )
        y = np.zeros((len(x), count, OH, OW), np.float32)
        for g in range(groups):
            outputs = slice(g * count // groups, (g + 1) * count // groups)
            for c, i, j in product(range(channels), range(KH), range(KW)):
                h, v = i * dilations[0], j * dilations[1]
                rows = slice(h, h + (OH - 1) * strides[0] + 1, strides[0])
                columns = slice(v, v + (OW - 1) * strides[1] + 1, strides[1])
                tap = padded[:, g * channels + c, None, rows, columns]
                y[:, outputs] += tap * w[None, outputs, c, i, j, None, None]
        return (y if b is None else y + b[:, None, None],)


def _matrix_product(a: Float32, b: Float32) -> Float32:
    terms = (a[..., k, None] * b[..., k, None, :] for k in range(a.shape[-1]))
    return _sum_in_order(terms, np.matmul(a[..., :, :1], b[..., :1, :]))


class MatMul(OpRun):
    """A product of matrices, or of stacks of them."""

    op_domain = ""

    def _run(self, a: Float32, b: Float32) -> tuple[Float32]:
        return (_matrix_product(a, b),)


class Gemm(OpRun):
    """x B + c; alpha and beta are 1."""

    op_domain = ""

    def _run(self, a: Float32, b: Float32, c: Float32 | None = None, **attributes: Any) -> tuple[Float32]:
        y = _matrix_product(a, b.T if attributes.get("transB") else b)
        return (y if c is None else y + c,)


class _Reduction(OpRun):
    op_domain = ""
    mean = False

    def _run(
        self, x: Float32, axes: npt.NDArray[np.int64] | None = None, keepdims: int = 1, **_: Any
    ) -> tuple[Float32]:
        reduced = sorted(int(axis) % x.ndim for axis in (range(x.ndim) if axes is None else axes))
        count = int(np.prod([x.shape[axis] for axis in reduced]))
        moved = np.moveaxis(x, reduced, range(len(reduced)))
        kept = moved.shape[len(reduced) :]
        rows = moved.reshape(count, *kept)
        y = _sum_in_order(rows, rows[0])
        if self.mean:
            y = y / np.float32(count)
        return (np.expand_dims(y, tuple(reduced)) if keepdims else y,)


class ReduceSum(_Reduction):
    """The sum over axes."""


class ReduceMean(_Reduction):
    """The mean over axes."""

    mean = True


class GlobalAveragePool(_Reduction):
    """The mean over all axes behind the channels."""

    mean = True

    def _run(self, x: Float32, *_: Any, **__: Any) -> tuple[Float32]:
        return super()._run(x, np.arange(2, x.ndim))


IN_ORDER_OPS = [*NEW_OPS, Conv, MatMul, Gemm, ReduceSum, ReduceMean, GlobalAveragePool]
