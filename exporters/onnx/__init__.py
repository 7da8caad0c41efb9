"""Export to ONNX with the operators of docs/ops/."""

from rbnn_deploy.exporters.onnx.export import BuiltModel, ExportResult, build_model, export_onnx
from rbnn_deploy.exporters.onnx.functions import binary_conv2d_function

__all__ = ["BuiltModel", "ExportResult", "binary_conv2d_function", "build_model", "export_onnx"]
