"""QuantizeLinear and DequantizeLinear for onnx's reference evaluator, which has them from opset 19 on only.

As ONNX's opsets 13 to 18 define them, for 8-bit integers (and int32 biases):

    QuantizeLinear(x) = saturate(round_half_even(x / scale) + zero_point)
    DequantizeLinear(q) = (q - zero_point) * scale

with one scale, or one per index of `axis`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

Array = npt.NDArray[Any]


def _along(values: Array, rank: int, axis: int) -> Array:
    """Shapes one value, or one per index of an axis, so that it broadcasts."""
    return values.reshape([-1 if i == axis % rank else 1 for i in range(rank)]) if values.size > 1 else values


class QuantizeLinear(OpRun):
    """To 8-bit integers."""

    op_domain = ""

    def _run(
        self, x: Array, scale: Array, zero_point: Array | None = None, axis: int = 1, **_: Any
    ) -> tuple[Array]:
        zero = np.zeros(1, np.uint8) if zero_point is None else zero_point
        limits = np.iinfo(zero.dtype)
        steps = np.rint(x / _along(scale, x.ndim, axis)) + _along(zero, x.ndim, axis).astype(np.float32)
        return (np.clip(steps, limits.min, limits.max).astype(zero.dtype),)


class DequantizeLinear(OpRun):
    """To float32."""

    op_domain = ""

    def _run(
        self, x: Array, scale: Array, zero_point: Array | None = None, axis: int = 1, **_: Any
    ) -> tuple[Array]:
        steps = x.astype(np.int32)
        if zero_point is not None:
            steps = steps - _along(zero_point, x.ndim, axis).astype(np.int32)
        return (steps.astype(np.float32) * _along(scale, x.ndim, axis),)
