"""QONNX file -> deployed model: the reverse of `export`, and then the street that every network goes.

file -> prepare -> binary layers -> signs and thresholds -> what is left, in standard operators
     -> shapes -> exporters/onnx: optimize, finalize
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper
from onnxscript import ir

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.export import explained, with_classes
from rbnn_deploy.exporters.onnx.finalize import check_opset, finalize
from rbnn_deploy.exporters.onnx.optimize import optimize_graph
from rbnn_deploy.exporters.onnx.passes.result import Note
from rbnn_deploy.exporters.onnx.passes.tidy import tidy
from rbnn_deploy.exporters.onnx.plain import PLAIN_DOMAIN, PLAIN_VERSION
from rbnn_deploy.exporters.onnx.topology import describe_topology
from rbnn_deploy.exporters.qonnx.levels import skip_quantizers, take_sample_means, two_levels
from rbnn_deploy.exporters.qonnx.prepare import input_shape, is_qonnx, prepare
from rbnn_deploy.exporters.qonnx.quantizers import write_out
from rbnn_deploy.exporters.qonnx.read_binary_layers import BinaryLayer, read_binary_layers
from rbnn_deploy.exporters.qonnx.thresholds import take_steps
from rbnn_deploy.files import atomic_write_bytes
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.model_files import read_model
from rbnn_deploy.model_files.digest import add_digest
from rbnn_deploy.operators import BINARY_CONV2D, BinaryConv2dAttributes
from rbnn_deploy.pytorch.folding import FoldedWeights
from rbnn_deploy.signature import BATCH
from rbnn_deploy.text import printable
from rbnn_deploy.version import __version__

STAND_IN = 1_299_709  # a prime


@dataclass(frozen=True)
class ImportResult:
    """What was read and written.

    Attributes:
        path: The file that was written.
        size: Its size in bytes.
        layers: The binary layers that were found.
        nodes: How many nodes of each operator the graph has.
        notes: What the passes did and left, and why.
    """

    path: Path
    size: int
    layers: tuple[FoldedWeights, ...]
    nodes: dict[str, int]
    notes: tuple[Note, ...]

    @property
    def int8_layers(self) -> tuple[str, ...]:
        """None: float layers stay float."""
        return ()


@dataclass(frozen=True)
class ReadNetwork:
    """A QONNX model as a plain graph.

    Attributes:
        plain: Channels-first; its binary layers are those of `rbnn_deploy.exporters.onnx.plain`.
        layers: The binary layers.
        metadata: Of the file's properties, or of its graph.
        opset: Version of ONNX's default domain that the graph uses.
        notes: Why layers of bipolar activations stay float.
    """

    plain: ir.Model
    layers: tuple[BinaryLayer, ...]
    metadata: ModelMetadata
    opset: int
    notes: tuple[Note, ...]


def read_qonnx(path: str | Path, *, opset: int = 18, binary: bool = True, exact: bool = True) -> ReadNetwork:
    """Reads a QONNX model.

    Args:
        path: The file.
        opset: Version of ONNX's default domain to bring it to; a newer one stays.
        binary: Whether binary layers are sought; False leaves a float network of the same function.
        exact: See `rbnn_deploy.exporters.qonnx.thresholds.take_steps`.

    Raises:
        UserError: The file is no QONNX model, or has no binary layer or a node that has no form here.
    """
    check_opset(opset)
    file = read_model(path)
    shown = printable(str(path))
    if not is_qonnx(file.model):
        raise UserError(
            f"{shown} is neither a checkpoint nor a QONNX model: it has no quantiser; name one of the two"
        )
    opset = max(opset, *(entry.version for entry in file.model.opset_import if not entry.domain), 0)
    try:
        check_opset(opset)
        image = input_shape(file.model)
        model, ranks = prepare(file.model, opset)
        layers, notes = _read_layers(model.graph, ranks, exact=exact) if binary else ([], [])
        if binary and not layers:
            raise UserError("no layer's activations and weights are both bipolar; use BipolarQuant for both")
        write_out(model.graph)
        model.opset_imports[PLAIN_DOMAIN] = PLAIN_VERSION
        tidy(model)
        model = _with_shapes(model)
    except UserError as error:
        raise UserError(f"cannot read {shown} as QONNX: {error}") from None
    except Exception as error:  # of onnx's and onnxsim's native code, which quote whole graphs
        kind = type(error).__name__
        raise UserError(
            f"cannot read {shown} as QONNX: its graph is not consistent ({kind}); run qonnx-cleanup, or "
            "export it again"
        ) from error
    metadata = file.metadata or ModelMetadata(_name_of(file.model), image)
    if metadata.input_shape != image:
        metadata = replace(metadata, input_shape=image)
    return ReadNetwork(model, tuple(layers), metadata, opset, tuple(notes))


def import_qonnx(
    path: str | Path,
    target: str | Path,
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    class_names: tuple[str, ...] | None = None,
    opset: int = 18,
    exact: bool = True,
) -> ImportResult:
    """Reads a QONNX model and writes it as a deployed model, whole or not at all.

    Args:
        path: The QONNX file.
        target: The file to write.
        mean: See `rbnn_deploy.metadata.ModelMetadata`; None takes what the file says, if it does.
        std: Likewise.
        class_names: Likewise.
        opset: See `read_qonnx`.
        exact: See `read_qonnx`.

    Raises:
        UserError: See `read_qonnx`, or the metadata or the file cannot be written.
    """
    network = read_qonnx(path, opset=opset, exact=exact)
    facts: dict[str, Any] = {"mean": mean, "std": std, "class_names": class_names}
    given = {key: value for key, value in facts.items() if value is not None}
    known = replace(network.metadata, **given, version=__version__, checkpoint_sha256=None).checked()
    names = {layer.conv.name: layer.weights for layer in network.layers}
    with explained(known.architecture, optimize=False):
        known = with_classes(known, network.plain.graph)
        topology = describe_topology(network.plain)
        lean = optimize_graph(network.plain)
        tidy(lean.model)
        model = finalize(lean.model, known, network.opset, topology)
    add_digest(model)
    content = model.SerializeToString(deterministic=True)
    atomic_write_bytes(Path(target), content)
    nodes = dict(Counter(node.op_type for node in model.graph.node))
    weights = tuple(FoldedWeights(str(name), count, 0) for name, count in names.items())
    notes = (*network.notes, *lean.notes)
    return ImportResult(Path(target), len(content), weights, nodes, notes)


def write_reference(path: str | Path, target: str | Path, *, opset: int = 18) -> None:
    """Writes a QONNX model with its quantisers in standard operators, and all layers as they are.

    It computes what the file says, without a binary layer, in any ONNX Runtime: what `import_qonnx` wrote can
    be checked against it.

    Args:
        path: The QONNX file.
        target: The file to write.
        opset: See `read_qonnx`.

    Raises:
        UserError: See `read_qonnx`, or the file cannot be written.
    """
    network = read_qonnx(path, opset=opset, binary=False)
    proto = ir.to_proto(network.plain)
    del proto.opset_import[:]
    proto.opset_import.append(helper.make_opsetid("", network.opset))
    proto.ir_version = helper.find_min_ir_version_for(proto.opset_import)
    atomic_write_bytes(Path(target), proto.SerializeToString(deterministic=True))


def _read_layers(
    graph: ir.Graph, ranks: Mapping[str, int], *, exact: bool
) -> tuple[list[BinaryLayer], list[Note]]:
    layers, notes = read_binary_layers(graph, two_levels(graph), ranks)
    skip_quantizers(graph)
    take_sample_means(graph)
    take_steps(graph, layers, exact=exact)
    return layers, notes


def _name_of(proto: onnx.ModelProto) -> str:
    return printable(proto.graph.name) or "qonnx"


def _with_shapes(model: ir.Model) -> ir.Model:
    """Returns the model with the shape of every value, as far as onnx's inference finds it.

    Inference loses a named batch in a Reshape to -1, and not a number; so the batch is a number meanwhile
    that no size of a network is.

    Raises:
        UserError: The output does not keep the batch.
    """
    proto = ir.to_proto(model)
    standard = onnx.ModelProto()
    standard.CopyFrom(proto)
    standard.graph.output[0].type.tensor_type.ClearField("shape")  # it would be believed
    standard.graph.input[0].type.tensor_type.shape.dim[0].dim_value = STAND_IN
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    for index, node in enumerate(standard.graph.node):
        if node.domain == PLAIN_DOMAIN:
            packed, attributes = stored[node.input[1]], _attributes(node)
            weight = f"weight_of_{index}"
            outputs, kh, kw, _ = packed.dims
            shape = [outputs, attributes.group_channels, kh, kw]
            standard.graph.input.append(helper.make_tensor_value_info(weight, TensorProto.FLOAT, shape))
            x, y = node.input[0], node.output[0]
            node.CopyFrom(helper.make_node("Conv", [x, weight], [y], **attributes.conv_attributes()))
    inferred = onnx.shape_inference.infer_shapes(standard, strict_mode=True, data_prop=True).graph
    for value in (*inferred.value_info, *inferred.output):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if axis == 0 and size.dim_value == STAND_IN:
                size.dim_param = BATCH
            elif size.dim_value % STAND_IN == 0:  # the batch and something else
                size.Clear()
    first = inferred.output[0].type.tensor_type.shape.dim
    if not first or first[0].dim_param != BATCH:
        raise UserError(
            "its output does not keep the batch, which QONNX fixes to 1 and a deployed model leaves free; "
            "reshape by -1 for the batch, and by numbers for all else"
        )
    proto.graph.value_info.extend(inferred.value_info)
    proto.graph.output[0].CopyFrom(inferred.output[0])
    return ir.from_proto(proto)


def _attributes(node: onnx.NodeProto) -> BinaryConv2dAttributes:
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    assert node.op_type == BINARY_CONV2D
    return BinaryConv2dAttributes.from_mapping(values)
