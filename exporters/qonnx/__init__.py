"""QONNX, the exchange format of quantised networks: out, and in.

Binary layers are BipolarQuant and Conv there, and everything else is standard ONNX (docs/qonnx.md).

The parts are imported when they are first asked for: they need PyTorch's exporter.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rbnn_deploy.exporters.qonnx.export import build_qonnx, export_qonnx
    from rbnn_deploy.exporters.qonnx.read import ImportResult, import_qonnx, write_reference

_HOMES = {
    "ImportResult": "read",
    "build_qonnx": "export",
    "export_qonnx": "export",
    "import_qonnx": "read",
    "write_reference": "read",
}
__all__ = ["ImportResult", "build_qonnx", "export_qonnx", "import_qonnx", "write_reference"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
