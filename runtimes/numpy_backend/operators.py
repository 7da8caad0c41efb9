"""Our operators as onnx's reference evaluator takes them, and which others the backend brings along."""

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

from rbnn_deploy.operators import (
    DOMAIN,
    BinaryConv2dAttributes,
    GeneralBinaryConv2dAttributes,
    PackedBinaryConv2dAttributes,
    QuantConv2dAttributes,
    UnpackSignsAttributes,
)
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import binary_conv2d
from rbnn_deploy.runtimes.numpy_backend.general_binary_conv2d import general_binary_conv2d
from rbnn_deploy.runtimes.numpy_backend.packed_binary_conv2d import (
    pack_signs_of_map,
    packed_binary_conv2d,
    unpack_signs_of_map,
)
from rbnn_deploy.runtimes.numpy_backend.pooling import AveragePool, MaxPool
from rbnn_deploy.runtimes.numpy_backend.quant_conv2d import quant_conv2d
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


class PackedBinaryConv2d(OpRun):
    """`ai.rbnn::PackedBinaryConv2d`, likewise."""

    op_domain = DOMAIN

    def _run(
        self,
        X: npt.NDArray[np.uint8],
        W: npt.NDArray[np.uint8],
        T: npt.NDArray[np.int32],
        **attributes: Any,
    ) -> tuple[npt.NDArray[np.uint8]]:
        checked = PackedBinaryConv2dAttributes.from_mapping(attributes)
        return (packed_binary_conv2d(X, W, T, attributes=checked),)


class PackSigns(OpRun):
    """`ai.rbnn::PackSigns`, likewise."""

    op_domain = DOMAIN

    def _run(self, X: npt.NDArray[np.float32], T: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint8]]:
        return (pack_signs_of_map(X, T),)


class UnpackSigns(OpRun):
    """`ai.rbnn::UnpackSigns`, likewise."""

    op_domain = DOMAIN

    def _run(self, X: npt.NDArray[np.uint8], **attributes: Any) -> tuple[npt.NDArray[np.float32]]:
        return (unpack_signs_of_map(X, UnpackSignsAttributes.from_mapping(attributes).channels),)


class QuantConv2d(OpRun):
    """`ai.rbnn::QuantConv2d`, likewise."""

    op_domain = DOMAIN

    def _run(self, *inputs: npt.NDArray[Any] | None, **attributes: Any) -> tuple[npt.NDArray[np.float32]]:
        checked = QuantConv2dAttributes.from_mapping(attributes)
        return (quant_conv2d(*inputs, attributes=checked),)  # type: ignore[arg-type]


NEW_OPS = [
    BinaryConv2d,
    GeneralBinaryConv2d,
    PackedBinaryConv2d,
    PackSigns,
    UnpackSigns,
    QuantConv2d,
    MaxPool,
    AveragePool,
    QuantizeLinear,
    DequantizeLinear,
]
