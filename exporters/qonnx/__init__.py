"""QONNX, the exchange format of quantised networks: out, and in.

Binary layers are BipolarQuant and Conv there, and everything else is standard ONNX (docs/qonnx.md).

The parts are imported when they are first asked for: they need PyTorch's exporter.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rbnn_deploy.exporters.qonnx.export import build_qonnx, export_qonnx

__all__ = ["build_qonnx", "export_qonnx"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("rbnn_deploy.exporters.qonnx.export"), name)
