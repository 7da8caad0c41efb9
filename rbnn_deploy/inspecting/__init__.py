"""The parts of a network: per layer its kind (binary or float), bytes and MACs."""

from rbnn_deploy.inspecting.onnx_model import inspect_onnx, read_metadata
from rbnn_deploy.inspecting.summary import LayerSummary, NetworkSummary, format_bytes, render

__all__ = ["LayerSummary", "NetworkSummary", "format_bytes", "inspect_onnx", "read_metadata", "render"]
