"""Network -> .onnx file, the whole street in one function."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxscript import ir
from torch import nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.exactness import inexact_nodes
from rbnn_deploy.exporters.onnx.calibrate import Measure, measure_ranges
from rbnn_deploy.exporters.onnx.finalize import check_opset, finalize
from rbnn_deploy.exporters.onnx.from_torch import export_graph
from rbnn_deploy.exporters.onnx.names import name_all
from rbnn_deploy.exporters.onnx.optimize import LeanGraph, optimize_graph
from rbnn_deploy.exporters.onnx.passes.result import Note
from rbnn_deploy.exporters.onnx.passes.tidy import tidy
from rbnn_deploy.exporters.onnx.plain import is_plain_binary_conv, lower_in_place
from rbnn_deploy.exporters.onnx.quantize import quantize_layers
from rbnn_deploy.exporters.onnx.topology import describe_topology
from rbnn_deploy.files import atomic_write_bytes
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.model_files.digest import add_digest
from rbnn_deploy.pixel_input import add_pixel_input
from rbnn_deploy.pytorch.folding import FoldedNetwork, FoldedWeights, fold
from rbnn_deploy.pytorch.folding.user_code import check_float32
from rbnn_deploy.pytorch.module_inputs import images
from rbnn_deploy.signature import TensorSpec
from rbnn_deploy.version import __version__

# Bytes of float32 parameters: protobuf writes at most 2 GiB, and the plain graph holds all of them.
LARGEST_NETWORK = 2**31 - 2**24


@dataclass(frozen=True)
class BuiltModel:
    """A deployed model in memory.

    Attributes:
        model: With its function, metadata and plain graph.
        folded: What the folding passes did.
        int8_layers: Names of the nodes that are to become int8, or of the QuantConv2d nodes.
        notes: What the graph passes did and left, and why.
    """

    model: onnx.ModelProto
    folded: FoldedNetwork
    int8_layers: tuple[str, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class ExportResult:
    """What an export produced.

    Attributes:
        path: The file.
        size: Its size in bytes.
        folded: What the folding passes did.
        nodes: How many nodes of each operator the graph has.
        int8_layers: Names of the float layers that became int8, and of what lies between them.
        notes: What the graph passes did and left, and why.
    """

    path: Path
    size: int
    folded: FoldedNetwork
    nodes: dict[str, int]
    int8_layers: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def layers(self) -> tuple[FoldedWeights, ...]:
        """The binary layers."""
        return self.folded.layers


@dataclass(frozen=True)
class CapturedNetwork:
    """A folded network as a graph, before any format or layout is chosen.

    Attributes:
        plain: The graph, channels-first; its binary layers are those of `plain`.
        folded: What the folding passes did.
        metadata: Checked, with the number of classes.
    """

    plain: ir.Model
    folded: FoldedNetwork
    metadata: ModelMetadata


def capture(
    module: nn.Module,
    metadata: ModelMetadata,
    *,
    opset: int = 18,
    inputs: Sequence[TensorSpec] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_size: bool = False,
) -> CapturedNetwork:
    """Folds a network and captures its plain graph, from which every format is written.

    Args:
        module: See `build_model`.
        metadata: See `build_model`.
        opset: See `build_model`.
        inputs: See `build_model`.
        output_names: See `build_model`.
        dynamic_size: See `build_model`.

    Raises:
        UserError: See `build_model`.
    """
    check_opset(opset)
    if inputs is None:
        inputs = images(_checked_shape(metadata.input_shape))
    metadata = metadata.checked()
    check_float32(module)
    _check_size(module)
    folded = fold(module)
    plain = export_graph(folded.module, inputs, opset, output_names, dynamic_size=dynamic_size)
    if not any(is_plain_binary_conv(node) for graph in plain.graphs() for node in graph):
        raise UserError(
            f"{metadata.architecture} does not use its binary layers in its forward method; call them there"
        )
    return CapturedNetwork(plain, folded, with_classes(metadata, plain.graph))


def build_model(
    module: nn.Module,
    metadata: ModelMetadata,
    *,
    opset: int = 18,
    optimize: bool = True,
    int8: bool = False,
    inputs: Sequence[TensorSpec] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_size: bool = False,
    bits_between_layers: bool = False,
    measure: Measure | None = None,
    range_rule: str = "minmax",
) -> BuiltModel:
    """Folds a network and builds its ONNX model in memory.

    Args:
        module: Any module with binary layers that returns float32 tensors.
        metadata: Stored in the model; `input_shape` is the shape that is exported, where `inputs` is None.
        opset: Version of ONNX's default domain, at least 18.
        optimize: Simplify, change the layout and fuse; False leaves the graph as torch exports it.
        int8: Whether float layers that gain by it are to become int8. The graph is arranged for that;
            `export_onnx` quantises it.
        inputs: What the module takes, in its order; None for one batch of images.
        output_names: In the order of the tensors that it returns; None for names from their structure.
        dynamic_size: Whether height and width of images may vary.
        bits_between_layers: Whether binary layers pass bits on where the next one reads nothing but signs.
        measure: Runs the model on calibration images; with it the float layers become QuantConv2d, and every
            node gives the same values on every processor.
        range_rule: How the range of an activation follows from these images (`calibration_ranges`).

    Raises:
        UserError: No binary layers, an opset, input shape or metadata that cannot be written, a module that
            cannot be captured or, with `measure`, one with nodes that differ between processors.
    """
    captured = capture(
        module,
        metadata,
        opset=opset,
        inputs=inputs,
        output_names=output_names,
        dynamic_size=dynamic_size,
    )
    plain, metadata = captured.plain, captured.metadata
    with explained(metadata.architecture, optimize=optimize):
        topology = describe_topology(plain)
        ranges = None
        if measure is not None:
            ranges = partial(measure_ranges, measure=measure, opset=opset, rule=range_rule)
        lean = (
            optimize_graph(plain, int8=int8, ranges=ranges, bits_between_layers=bits_between_layers)
            if optimize
            else _as_it_is(plain)
        )
        tidy(lean.model)
        model = finalize(lean.model, metadata, opset, topology)
        if measure is not None:
            _check_exact(model.graph)
    return BuiltModel(model, captured.folded, lean.int8_layers, lean.notes)


def _check_exact(graph: onnx.GraphProto) -> None:
    """Refuses a graph with a node that may give other values on another processor.

    Raises:
        UserError: It has one.
    """
    nodes = list(inexact_nodes(graph))
    if nodes:
        more = "" if len(nodes) == 1 else f" and {len(nodes) - 1} more"
        raise UserError(
            f"{nodes[0].op_type} {nodes[0].name or ''}{more} cannot give the same values on every processor; "
            "export without exact float layers, or replace it in the network"
        )


def _check_size(module: nn.Module) -> None:
    size = sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))
    if size > LARGEST_NETWORK:
        raise UserError(
            f"the network's parameters take {size / 2**30:.1f} GiB, and an .onnx file holds less than "
            f"{LARGEST_NETWORK / 2**30:.3g} GiB of them; make its largest layers smaller"
        )


def with_classes(metadata: ModelMetadata, graph: ir.Graph) -> ModelMetadata:
    """Adds the number of logits, where each sample has one row of them.

    Args:
        metadata: Of the network.
        graph: Whose output has its shape.

    Raises:
        UserError: The metadata have another number of classes.
    """
    shape = graph.outputs[0].shape
    if len(graph.outputs) != 1 or shape is None or len(shape) != 2 or not isinstance(shape[1], int):
        return metadata
    logits = shape[1]
    given = metadata.num_classes if metadata.class_names is None else len(metadata.class_names)
    if given not in (None, logits):
        raise UserError(
            f"{metadata.architecture} returns {logits} logits, but its metadata have {given} classes; "
            "name each logit once"
        )
    return replace(metadata, num_classes=logits)


def _as_it_is(plain: ir.Model) -> LeanGraph:
    given = [str(node.name) for graph in plain.graphs() for node in graph]
    lower_in_place(plain)
    name_all(plain, given)
    return LeanGraph(plain, (), ())


@contextmanager
def explained(name: str, *, optimize: bool) -> Iterator[None]:
    """Turns an error of the passes, of onnxsim or of onnx's checker into one sentence.

    Args:
        name: Of the network.
        optimize: Whether the graph could be written as it is instead.

    Raises:
        UserError: In place of any other error.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # these tools quote whole graphs in errors of many types
        kind = type(error).__name__
        advice = (
            "export it as it is with simplify=False or --no-simplify, and please report it"
            if optimize
            else "please report it"
        )
        raise UserError(f"the graph of {name} cannot be written ({kind}); {advice}") from error


def _checked_shape(shape: Any) -> tuple[int, int, int]:
    if (
        not isinstance(shape, tuple | list)
        or len(shape) != 3
        or any(not isinstance(size, int) or isinstance(size, bool) or size < 1 for size in shape)
    ):
        raise UserError(f"the input shape cannot be {shape!r}; pass three integers (C, H, W) from 1 up")
    return (shape[0], shape[1], shape[2])


def check_optimized(optimize: bool, *, int8: bool, exact: bool, bits_between_layers: bool) -> None:
    """Refuses options of a graph that is left as it is.

    Args:
        optimize: Whether it is not.
        int8: Whether float layers are to become ONNX Runtime's int8.
        exact: Whether they are to become QuantConv2d.
        bits_between_layers: See `build_model`.

    Raises:
        UserError: One of them needs an optimised graph.
    """
    asked = {
        "int8 float layers": int8,
        "exact float layers": exact,
        "bits between layers": bits_between_layers,
    }
    if not optimize and (what := next((name for name, is_asked in asked.items() if is_asked), None)):
        raise UserError(f"{what} need the simplified graph; leave out simplify=False or --no-simplify")


def export_onnx(
    module: nn.Module,
    path: str | Path,
    metadata: ModelMetadata,
    *,
    opset: int = 18,
    optimize: bool = True,
    calibration: Iterable[npt.NDArray[np.float32]] | None = None,
    inputs: Sequence[TensorSpec] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_size: bool = False,
    bits_between_layers: bool = False,
    measure: Measure | None = None,
    range_rule: str = "minmax",
) -> ExportResult:
    """Folds a network and writes its .onnx file, whole or not at all.

    Args:
        module: See `build_model`.
        path: The file to write.
        metadata: See `build_model`; the program's version is filled in. Its `input_format` says what the
            model takes; the module takes normalised images in any case.
        opset: See `build_model`.
        optimize: See `build_model`.
        calibration: Images as the model takes them, float32 [n, C, H, W] each; with them the float layers
            that gain by it become int8 (`quantize_layers`). None leaves all of them float.
        inputs: See `build_model`.
        output_names: See `build_model`.
        dynamic_size: See `build_model`.
        bits_between_layers: See `build_model`.
        measure: See `build_model`; not together with `calibration`.
        range_rule: See `build_model`.

    Raises:
        UserError: See `build_model`, `quantize_layers` and `rbnn_deploy.files.atomic_write`; or int8, exact
            float layers or bits between layers are asked for together with a graph that is left as it is.
    """
    check_optimized(
        optimize,
        int8=calibration is not None,
        exact=measure is not None,
        bits_between_layers=bits_between_layers,
    )
    built = build_model(
        module,
        replace(metadata, version=__version__),
        opset=opset,
        optimize=optimize,
        int8=calibration is not None,
        inputs=inputs,
        output_names=output_names,
        dynamic_size=dynamic_size,
        bits_between_layers=bits_between_layers,
        measure=measure,
        range_rule=range_rule,
    )
    model = built.model
    if calibration is not None and built.int8_layers:
        model = quantize_layers(model, built.int8_layers, calibration)
    if metadata.takes_pixels:  # last, so that the network is the same as without
        add_pixel_input(model, metadata.image)
        onnx.checker.check_model(model, full_check=True)
    add_digest(model)
    content = model.SerializeToString(deterministic=True)
    atomic_write_bytes(Path(path), content)
    nodes = dict(Counter(node.op_type for node in model.graph.node))
    return ExportResult(Path(path), len(content), built.folded, nodes, built.int8_layers, built.notes)
