"""Network -> QONNX file: the captured graph with its binary layers in QONNX's operators.

Tools for QONNX want a fixed batch, the shape of every value, and layers as they were trained. So the batch is
one, the layout stays channels-first, and nothing is fused but what onnxsim folds into float layers.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import onnx
from onnxscript import ir
from torch import nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.export import ExportResult, capture, explained
from rbnn_deploy.exporters.onnx.graph import graphs
from rbnn_deploy.exporters.onnx.names import name_all
from rbnn_deploy.exporters.onnx.passes.simplify import simplify
from rbnn_deploy.exporters.onnx.passes.tidy import clean, tidy
from rbnn_deploy.exporters.qonnx.domain import QONNX_DOMAIN, QONNX_VERSION
from rbnn_deploy.exporters.qonnx.shapes import infer_shapes
from rbnn_deploy.exporters.qonnx.write_binary_conv import write_binary_convs
from rbnn_deploy.files import atomic_write_bytes
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.onnx_graph import dimensions
from rbnn_deploy.pytorch.folding import FoldedNetwork
from rbnn_deploy.signature import BATCH
from rbnn_deploy.text import printable
from rbnn_deploy.version import __version__


def build_qonnx(
    module: nn.Module, metadata: ModelMetadata, *, opset: int = 18
) -> tuple[onnx.ModelProto, FoldedNetwork]:
    """Folds a network and builds its QONNX model in memory.

    Args:
        module: See `rbnn_deploy.exporters.onnx.build_model`.
        metadata: See there.
        opset: Version of ONNX's default domain, at least 18.

    Returns:
        The model, with the shape of every value and our metadata; and what the folding passes did.

    Raises:
        UserError: See `build_model`; or a layer has no form in QONNX, or a value has no fixed shape.
    """
    if metadata.takes_pixels:
        raise UserError("QONNX files take normalised images; leave input_format out of the metadata")
    captured = capture(module, replace(metadata, version=__version__), opset=opset)
    plain, metadata = captured.plain, captured.metadata
    with explained(metadata.architecture, optimize=False):
        given = [str(node.name) for graph in graphs(plain) for node in graph]
        _fix_batch(plain)
        model = simplify(plain)
        write_binary_convs(model)
        clean(model)
        name_all(model, given)
        tidy(model)
        proto = _finalize(model, metadata, opset)
    _check_shapes(proto, metadata.architecture)
    return proto, captured.folded


def export_qonnx(
    module: nn.Module, path: str | Path, metadata: ModelMetadata, *, opset: int = 18
) -> ExportResult:
    """Folds a network and writes its QONNX file, whole or not at all.

    Args:
        module: See `build_qonnx`.
        path: The file to write.
        metadata: See `build_qonnx`; the program's version is filled in.
        opset: See `build_qonnx`.

    Raises:
        UserError: See `build_qonnx` and `rbnn_deploy.files.atomic_write`.
    """
    model, folded = build_qonnx(module, metadata, opset=opset)
    content = model.SerializeToString(deterministic=True)
    atomic_write_bytes(Path(path), content)
    nodes = dict(Counter(node.op_type for node in model.graph.node))
    return ExportResult(Path(path), len(content), folded, nodes)


def _fix_batch(model: ir.Model) -> None:
    """Makes the batch one wherever a shape names it."""
    for graph in graphs(model):
        values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
        for value in values:
            if value.shape is not None:
                value.shape = ir.Shape([1 if getattr(d, "value", d) == BATCH else d for d in value.shape])


def _finalize(model: ir.Model, metadata: ModelMetadata, opset: int) -> onnx.ModelProto:
    proto = ir.to_proto(model)
    del proto.opset_import[:]
    proto.opset_import.append(onnx.helper.make_opsetid("", opset))
    proto.opset_import.append(onnx.helper.make_opsetid(QONNX_DOMAIN, QONNX_VERSION))
    proto.ir_version = onnx.helper.find_min_ir_version_for(proto.opset_import, ignore_unknown=True)
    proto.producer_name, proto.producer_version = "rbnn-deploy", __version__
    proto.graph.name = metadata.architecture
    del proto.functions[:]
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, metadata.to_properties())
    outputs = {value.name for value in proto.graph.output}
    values = [value for value in infer_shapes(proto) if value.name not in outputs]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(values)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _check_shapes(proto: onnx.ModelProto, name: str) -> None:
    """Checks that tools for QONNX can run the graph.

    Raises:
        UserError: A value has no fixed shape.
    """
    values = (*proto.graph.input, *proto.graph.output, *proto.graph.value_info)
    known = {v.name for v in values if None not in dimensions(v) and v.type.tensor_type.HasField("shape")}
    for node in proto.graph.node:
        if any(output and output not in known for output in node.output):
            raise UserError(
                f"{name} cannot be written as QONNX: the shape of {printable(node.name)} ({node.op_type}) "
                "depends on the input, and tools for QONNX want fixed shapes; take it from the module's own "
                "sizes, or export with --format onnx"
            )
