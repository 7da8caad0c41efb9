"""The layout pass: which part of the graph runs channels-last, and how each operator is written there."""

from rbnn_deploy.exporters.onnx.layout.channels_last import ChannelsLast

__all__ = ["ChannelsLast"]
