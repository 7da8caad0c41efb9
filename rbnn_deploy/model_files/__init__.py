"""Reads .onnx files of anybody and validates them before native code sees them; needs onnx and NumPy only."""

from rbnn_deploy.model_files.reading import ModelFile, read_model

__all__ = ["ModelFile", "read_model"]
