"""Network -> .onnx file, the whole street in one function."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnxscript import ir
from torch import nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.finalize import check_opset, finalize
from rbnn_deploy.exporters.onnx.float_layers_to_int8 import quantize_float_layers
from rbnn_deploy.exporters.onnx.from_torch import export_graph
from rbnn_deploy.exporters.onnx.optimize import fuse, simplify, tidy, to_channels_last
from rbnn_deploy.files import atomic_write_bytes
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.operators import BINARY_CONV2D
from rbnn_deploy.pytorch.folding import FoldedNetwork, fold
from rbnn_deploy.version import __version__


@dataclass(frozen=True)
class ExportResult:
    """What an export produced.

    Attributes:
        path: The file.
        size: Its size in bytes.
        folded: What the folding passes did.
        nodes: How many nodes of each operator the graph has.
    """

    path: Path
    size: int
    folded: FoldedNetwork
    nodes: dict[str, int]


def build_model(
    module: nn.Module, metadata: ModelMetadata, *, opset: int = 18, optimize: bool = True
) -> tuple[onnx.ModelProto, FoldedNetwork]:
    """Folds a network and builds its ONNX model in memory.

    Args:
        module: Any module with binary layers that maps float32 [N, C, H, W] to one tensor.
        metadata: Stored in the model; `input_shape` is the shape that is exported.
        opset: Version of ONNX's default domain, at least 18.
        optimize: Simplify, change the layout and fuse; False leaves the graph as torch exports it.

    Raises:
        UserError: No binary layers, an opset or input shape that cannot be written, or a module that cannot
            be captured.
    """
    check_opset(opset)
    _check_input_shape(metadata.input_shape)
    _check_parameters(module)
    folded = fold(module)
    graph = export_graph(folded.module, metadata.input_shape, opset)
    if optimize:
        graph = _optimized(graph, metadata.architecture)
    tidy(graph)
    if not any(node.op_type == BINARY_CONV2D for node in graph.graph):
        raise UserError(
            f"{metadata.architecture} does not use its binary layers in its forward method; call them there"
        )
    return finalize(graph, metadata, opset), folded


def _check_input_shape(shape: Any) -> None:
    if (
        not isinstance(shape, tuple | list)
        or len(shape) != 3
        or any(not isinstance(size, int) or isinstance(size, bool) or size < 1 for size in shape)
    ):
        raise UserError(f"the input shape cannot be {shape!r}; pass three integers (C, H, W) from 1 up")


def _check_parameters(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            kind = str(parameter.dtype).removeprefix("torch.")
            raise UserError(
                f"parameter {name} is {kind}, not float32; convert the network with .float() first"
            )


def _optimized(graph: ir.Model, name: str) -> ir.Model:
    try:
        graph = simplify(graph)
        to_channels_last(graph)
        fuse(graph)
    except Exception as error:  # onnxsim and the rewriter quote whole graphs in errors of many types
        raise UserError(
            f"the graph of {name} cannot be simplified ({type(error).__name__}); export it as it is with "
            "simplify=False or --no-simplify, and please report it"
        ) from error
    return graph


def export_onnx(
    module: nn.Module,
    path: str | Path,
    metadata: ModelMetadata,
    *,
    opset: int = 18,
    optimize: bool = True,
    calibration: Iterable[npt.NDArray[np.float32]] | None = None,
) -> ExportResult:
    """Folds a network and writes its .onnx file, whole or not at all.

    Args:
        module: See `build_model`.
        path: The file to write.
        metadata: See `build_model`; the program's version is filled in.
        opset: See `build_model`.
        optimize: See `build_model`.
        calibration: Images as the model takes them, float32 [n, C, H, W] each; with them the float layers
            that gain by it become int8 (`quantize_float_layers`). None leaves all of them float.

    Raises:
        UserError: See `build_model`, `quantize_float_layers` and `rbnn_deploy.files.atomic_write`.
    """
    model, folded = build_model(
        module, replace(metadata, version=__version__), opset=opset, optimize=optimize
    )
    if calibration is not None:
        model = quantize_float_layers(model, calibration)
    content = model.SerializeToString(deterministic=True)
    atomic_write_bytes(Path(path), content)
    return ExportResult(
        Path(path), len(content), folded, dict(Counter(node.op_type for node in model.graph.node))
    )
