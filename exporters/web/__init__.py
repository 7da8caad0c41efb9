"""A deployed .onnx file as a web page that classifies images without a server: the C code as WebAssembly."""

from rbnn_deploy.exporters.web.export import WebExport, export_web

__all__ = ["WebExport", "export_web"]
