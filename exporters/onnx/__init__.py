"""Export to ONNX with the operators of docs/ops/.

The exporter is imported when it is first asked for: the function of an operator needs no PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rbnn_deploy.exporters.onnx.functions import binary_conv2d_function
from rbnn_deploy.exporters.onnx.general_function import general_binary_conv2d_function

if TYPE_CHECKING:
    from rbnn_deploy.exporters.onnx.export import BuiltModel, ExportResult, build_model, export_onnx

__all__ = [
    "BuiltModel",
    "ExportResult",
    "binary_conv2d_function",
    "build_model",
    "export_onnx",
    "general_binary_conv2d_function",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("rbnn_deploy.exporters.onnx.export"), name)
