"""Shapes of a QONNX graph's values: inference knows no quantiser, and none changes a shape."""

from collections.abc import Sequence

import onnx

from rbnn_deploy.exporters.qonnx.domain import QONNX_DOMAIN


def infer_shapes(proto: onnx.ModelProto) -> Sequence[onnx.ValueInfoProto]:
    """Infers type and shape of every computed value.

    Args:
        proto: A QONNX model; it is not changed, and what it says about its values is not read.

    Returns:
        The outputs among them, last.

    Raises:
        Exception: The shapes contradict each other; onnx has several types of it.
    """
    standard = onnx.ModelProto()
    standard.CopyFrom(proto)
    del standard.graph.value_info[:]
    for node in standard.graph.node:
        if node.domain == QONNX_DOMAIN:
            node.op_type, node.domain = "Identity", ""
            del node.input[1:]
            del node.attribute[:]
    inferred = onnx.shape_inference.infer_shapes(standard, strict_mode=True, data_prop=True)
    return [*inferred.graph.value_info, *inferred.graph.output]
