"""Plain graph -> what its float network's graph is, for the file (rbnn_deploy.topology)."""

import numpy as np
import onnx
from onnxscript import ir

from rbnn_deploy.exporters.onnx.graph import Writer, constant_array, operand, replace
from rbnn_deploy.exporters.onnx.passes.prelu import PreluAsMinMax
from rbnn_deploy.exporters.onnx.passes.simplify import simplify
from rbnn_deploy.exporters.onnx.passes.tidy import tidy
from rbnn_deploy.exporters.onnx.plain import binary_conv_attributes, is_plain_binary_conv
from rbnn_deploy.operators import BINARY_CONV2D_OPERATOR
from rbnn_deploy.topology import pack


def float_network(plain: ir.Model) -> ir.Model:
    """Builds the float network of a plain graph: what torch would have exported with nn.Conv2d.

    One thing is written as in deployed models, because any float network would gain by it: PReLU.

    Args:
        plain: As torch exports it, its binary layers those of `plain`; it is not changed.

    Returns:
        The simplified graph, with random weights in place of binary ones.
    """
    model = plain.clone()
    rng = np.random.default_rng(0)
    for graph in model.graphs():
        for node in [node for node in graph if is_plain_binary_conv(node)]:
            _write_conv(node, rng)
    model = simplify(model)
    PreluAsMinMax()(model)
    tidy(model)
    return model


def describe_topology(plain: ir.Model) -> str:
    """Returns the property that a deployed file keeps of its plain graph; see `float_network`."""
    proto = ir.to_proto(float_network(plain))
    proto.ir_version = onnx.helper.find_min_ir_version_for(proto.opset_import)
    return pack(proto)


def _write_conv(node: ir.Node, rng: np.random.Generator) -> None:
    """Writes a binary layer as the float convolution of its geometry; a bias of zeros is no bias."""
    packed, bias = constant_array(node.inputs[1]), operand(node, BINARY_CONV2D_OPERATOR.index("bias"))
    attributes, graph = binary_conv_attributes(node), node.graph
    assert packed is not None
    assert graph is not None
    outputs, kh, kw, _ = packed.shape
    shape = (outputs, attributes.group_channels, kh, kw)
    writer = Writer(node)
    # Values that differ: tools would make one tensor of equal ones.
    inputs = [node.inputs[0], writer.constant(rng.standard_normal(shape, np.float32))]
    values = constant_array(bias)
    if values is None or values.any():
        inputs.append(bias)
    y = writer.node(
        "Conv",
        *inputs,
        like=node.outputs[0],
        name=node.name,
        auto_pad="NOTSET",  # torch writes it
        kernel_shape=[kh, kw],
        **attributes.conv_attributes(),
    )
    replace(node.outputs[0], y)
    graph.remove(node, safe=True)
