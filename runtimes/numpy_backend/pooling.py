"""Plain pooling in NumPy for onnx's reference evaluator, whose own loops over every pixel in Python.

At 64 maps of 128 x 32 x 32, onnx's MaxPool takes seconds and this one milliseconds. Only what networks use
is here: two spatial axes, explicit pads, floor mode, no dilation, one output; the rest goes to onnx's own.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_average_pool import AveragePool_19
from onnx.reference.ops.op_max_pool import MaxPool as OnnxMaxPool

Array = npt.NDArray[np.float32]


class _Pool(OpRun):
    """Reads a pooling node; `slow` is onnx's operator, for all cases that are not implemented here."""

    op_domain = ""
    slow: Any

    def _run(self, x: Array, **attributes: Any) -> tuple[Array, ...]:
        unusual = (
            x.ndim != 4,
            len(self.onnx_node.output) != 1,
            attributes.get("auto_pad") not in (None, "NOTSET"),
            attributes.get("ceil_mode"),
            attributes.get("storage_order"),
            any(d != 1 for d in attributes.get("dilations") or ()),
        )
        if any(unusual):
            result: tuple[Array, ...] = self.slow(self.onnx_node, self.run_params).run(x)
            return result
        kernel = attributes["kernel_shape"]
        pads = attributes.get("pads") or (0, 0, 0, 0)
        return (self._pool(x, kernel, attributes.get("strides") or (1, 1), pads),)

    def _pool(self, x: Array, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int]) -> Array:
        raise NotImplementedError


class MaxPool(_Pool):
    """The maximum over each window; padding never wins."""

    slow = OnnxMaxPool

    def _pool(self, x: Array, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int]) -> Array:
        first, *rest = _windows(_pad(x, pads, -np.inf), kernel, strides)
        y = first.copy()
        for view in rest:
            np.maximum(y, view, out=y)
        return y


class AveragePool(_Pool):
    """The float32 mean over each window, of the values inside the map unless `count_include_pad` is set."""

    slow = AveragePool_19

    def _pool(self, x: Array, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int]) -> Array:
        padded = _windows(_pad(x, pads, 0), kernel, strides)
        ones = np.ones((1, 1, *x.shape[2:]), np.float32)
        outside = 1 if getattr(self, "count_include_pad", 0) else 0
        counts = _windows(_pad(ones, pads, outside), kernel, strides)
        return np.asarray(sum(padded) / sum(counts), np.float32)


def _pad(x: Array, pads: Sequence[int], value: float) -> Array:
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _windows(x: Array, kernel: Sequence[int], strides: Sequence[int]) -> list[Array]:
    """Returns, for each tap of a window, the values of `x` [N, C, H, W] that it meets: [N, C, OH, OW]."""
    views = []
    for i, j in product(range(kernel[0]), range(kernel[1])):
        rows = slice(i, x.shape[2] - kernel[0] + i + 1, strides[0])
        columns = slice(j, x.shape[3] - kernel[1] + j + 1, strides[1])
        views.append(x[:, :, rows, columns])
    return views
