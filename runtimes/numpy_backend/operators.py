"""Our operators as onnx's reference evaluator takes them, and which others the backend brings along."""

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

from rbnn_deploy.operators import DOMAIN, BinaryConv2dAttributes, GeneralBinaryConv2dAttributes
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import binary_conv2d
from rbnn_deploy.runtimes.numpy_backend.general_binary_conv2d import general_binary_conv2d
from rbnn_deploy.runtimes.numpy_backend.pooling import AveragePool, MaxPool
from rbnn_deploy.runtimes.numpy_backend.quantize_linear import DequantizeLinear, QuantizeLinear


class BinaryConv2d(OpRun):
    """`ai.rbnn::BinaryConv2d`; it takes precedence over a function of that name in the model."""

    op_domain = DOMAIN

    def _run(
        self,
        X: npt.NDArray[np.float32],
        W: npt.NDArray[np.uint8],
        scale: npt.NDArray[np.float32],
        bias: npt.NDArray[np.float32],
        R: npt.NDArray[np.float32] | None = None,
        **attributes: Any,
    ) -> tuple[npt.NDArray[np.float32]]:
        checked = BinaryConv2dAttributes.from_mapping(attributes)
        return (binary_conv2d(X, W, scale, bias, R, attributes=checked),)


class GeneralBinaryConv2d(OpRun):
    """`ai.rbnn::GeneralBinaryConv2d`, likewise."""

    op_domain = DOMAIN

    def _run(self, *inputs: npt.NDArray[Any] | None, **attributes: Any) -> tuple[npt.NDArray[np.float32]]:
        checked = GeneralBinaryConv2dAttributes.from_mapping(attributes)
        return (general_binary_conv2d(*inputs, attributes=checked),)  # type: ignore[arg-type]


NEW_OPS = [BinaryConv2d, GeneralBinaryConv2d, MaxPool, AveragePool, QuantizeLinear, DequantizeLinear]
