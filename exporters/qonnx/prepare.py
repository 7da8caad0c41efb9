"""QONNX file -> graph that the reader works on: one name per operator, a new opset, a free batch, constants.

1. The domains that earlier tools wrote become QONNX's.
2. onnx's converter brings the graph to the opset that we write.
3. The batch, which QONNX files fix, becomes free: in the input's shape, and in the targets of Reshape.
4. Quantised constants become constants, and onnxsim computes what else is constant.
"""

from collections.abc import Mapping

import numpy as np
import onnx
import onnxsim
from onnx import TensorProto
from onnxscript import ir

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.graph import Writer, constant_array, integer, operand, producer
from rbnn_deploy.exporters.onnx.passes.simplify import WRONG
from rbnn_deploy.exporters.qonnx.domain import ALIASES, QONNX_DOMAIN
from rbnn_deploy.exporters.qonnx.quantizers import normalise_quantizers
from rbnn_deploy.exporters.qonnx.shapes import infer_shapes
from rbnn_deploy.metadata import is_input_shape
from rbnn_deploy.onnx_graph import dimensions, real_inputs
from rbnn_deploy.signature import BATCH
from rbnn_deploy.text import printable

IMAGE_RANK = 4
# What onnxsim would fold into weights: a threshold is made of these steps exactly, in their own rounding.
ROUNDING = [
    "fuse_add_bias_into_conv",
    "fuse_bn_into_conv",
    "fuse_matmul_into_conv",
    "fuse_mul_into_conv",
    "fuse_preceding_mul_into_conv",
]


def is_qonnx(proto: onnx.ModelProto) -> bool:
    """Tells whether a model has an operator of QONNX."""
    return any(node.domain in ALIASES for node in proto.graph.node)


def input_shape(proto: onnx.ModelProto) -> tuple[int, int, int]:
    """Returns (C, H, W) of a model's one input.

    Raises:
        UserError: It does not take one float32 image of known size, or has several outputs.
    """
    inputs = real_inputs(proto.graph)
    shape = dimensions(inputs[0]) if len(inputs) == 1 else ()
    kind = inputs[0].type.tensor_type.elem_type if inputs else None
    image = tuple(size for size in shape[1:] if size is not None)
    if len(shape) != IMAGE_RANK or kind != TensorProto.FLOAT or not is_input_shape(image):
        raise UserError("it must take one float32 image [1, C, H, W]; export it for such an input")
    if len(proto.graph.output) != 1:
        raise UserError(f"it has {len(proto.graph.output)} outputs, and a deployed model one; export it so")
    return image  # type: ignore[return-value]


def prepare(proto: onnx.ModelProto, opset: int) -> tuple[ir.Model, Mapping[str, int]]:
    """Prepares a model for the reader.

    Args:
        proto: A QONNX model; it is not changed.
        opset: Version of ONNX's default domain to bring it to.

    Returns:
        The graph, whose values but for the input have no shapes; and the number of axes of each value.

    Raises:
        UserError: An operator is neither standard nor QONNX's, or a quantiser has no form here.
    """
    renamed = onnx.ModelProto()
    renamed.CopyFrom(proto)
    _rename_domains(renamed)
    ranks = _ranks(renamed)
    output = renamed.graph.output[0]
    if not output.type.tensor_type.HasField("shape"):
        output.type.tensor_type.shape.dim.extend(
            [onnx.TensorShapeProto.Dimension()] * ranks.get(output.name, 0)
        )
    inputs = real_inputs(renamed.graph)
    del renamed.graph.input[:]
    renamed.graph.input.extend(inputs)
    converted = _converted(renamed, opset)
    del converted.graph.value_info[:]
    for value in (*converted.graph.input, *converted.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims:
            dims[0].dim_param = BATCH
    model = ir.from_proto(converted)
    _name_layers(model.graph)
    _free_batch(model.graph)
    normalise_quantizers(model.graph, ranks)
    simplified, _ = onnxsim.simplify(ir.to_proto(model), check_n=0, skipped_optimizers=[*WRONG, *ROUNDING])
    del simplified.graph.value_info[:]
    return ir.from_proto(simplified), ranks


def _rename_domains(proto: onnx.ModelProto) -> None:
    for node in proto.graph.node:
        if node.domain in ALIASES:
            node.domain = QONNX_DOMAIN
        elif node.domain not in ("", "ai.onnx"):
            name = printable(node.name or node.output[0])
            raise UserError(
                f"node {name} is of operator {printable(f'{node.domain}::{node.op_type}')}, which is neither "
                "standard nor QONNX's; export the network before such a tool changed it"
            )
    versions = [entry for entry in proto.opset_import if entry.domain not in ALIASES]
    del proto.opset_import[:]
    proto.opset_import.extend([*versions, onnx.helper.make_opsetid(QONNX_DOMAIN, 1)])


def _ranks(proto: onnx.ModelProto) -> dict[str, int]:
    try:
        inferred = infer_shapes(proto)
    except Exception as error:  # native code, of several types
        raise UserError("its layers do not fit together by their shapes; export it again") from error
    values = (*proto.graph.input, *inferred)
    return {v.name: len(dimensions(v)) for v in values if v.type.tensor_type.HasField("shape")}


def _converted(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    present = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if present == opset:
        return proto
    try:
        return onnx.version_converter.convert_version(proto, opset)
    except Exception as error:  # native code, of several types
        raise UserError(
            f"onnx cannot bring it from opset {present} to {opset}; export it for opset {opset}, or name "
            "another one with --opset"
        ) from error


def _name_layers(graph: ir.Graph) -> None:
    """Calls layers after their weights, `conv_features.4` after `conv_features.4.weight`, each name once."""
    taken = {node.name for node in graph}
    for node in [node for node in graph if node.op_type in ("Conv", "Gemm", "MatMul") and not node.domain]:
        weight = operand(node, 1)
        while (maker := producer(weight)) is not None and maker.op_type != "Constant":
            weight = operand(maker, 0)
        name, _, parameter = str("" if weight is None else weight.name).rpartition(".")
        if parameter == "weight" and name and name not in taken:
            node.name = name
            taken.add(name)


def _free_batch(graph: ir.Graph) -> None:
    """Lets a Reshape of computed values to [1, ...] keep the batch instead."""
    for node in [node for node in graph if node.op_type == "Reshape" and not node.domain]:
        target = constant_array(operand(node, 1))
        if target is None or constant_array(operand(node, 0)) is not None:
            continue
        sizes = target.tolist()
        if sizes[:1] != [1]:
            continue
        if -1 not in sizes:
            sizes[0] = -1
        elif 0 not in sizes or not integer(node, "allowzero", 0):
            sizes[0] = 0  # that of the input
            node.attributes.pop("allowzero", None)
        node.replace_input_with(1, Writer(node).constant(sizes, np.int64))
