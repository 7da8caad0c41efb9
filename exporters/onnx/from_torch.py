"""Folded torch module -> ONNX graph, by torch.export and torch.onnx."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from onnxscript import ir, values
from torch import nn
from torch.overrides import TorchFunctionMode

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.graph import graphs
from rbnn_deploy.exporters.onnx.names import name_after_modules
from rbnn_deploy.exporters.onnx.plain import PLAIN_DOMAIN, PLAIN_VERSION, is_plain_binary_conv
from rbnn_deploy.operators import (
    BINARY_CONV2D_OPERATOR,
    GENERAL_BINARY_CONV2D_OPERATOR,
    BinaryConv2dAttributes,
    GeneralBinaryConv2dAttributes,
)
from rbnn_deploy.operators.schema import operator_schema

INPUT, OUTPUT, BATCH = "input", "logits", "N"
_CLAMPS = tuple(
    getattr(home, name) for home in (torch, torch.Tensor) for name in ("clamp", "clamp_", "clip", "clip_")
)

_plain = values.Opset(PLAIN_DOMAIN, PLAIN_VERSION)
_binary_conv2d, _general_binary_conv2d = (
    values.Op(_plain, operator.name, operator_schema(operator, PLAIN_DOMAIN, PLAIN_VERSION))
    for operator in (BINARY_CONV2D_OPERATOR, GENERAL_BINARY_CONV2D_OPERATOR)
)


def _translate_binary_conv2d(x: Any, weight: Any, scale: Any, bias: Any, *values: Any) -> Any:
    """Translates `torch.ops.rbnn.binary_conv2d`, which is channels-first, to the plain graph's operator."""
    attributes = BinaryConv2dAttributes.from_values(*values)
    return _binary_conv2d(x, weight, scale, bias, **attributes.to_dict())


def _translate_general_binary_conv2d(
    x: Any, weight: Any, scale: Any, bias: Any, thresholds: Any, window_sum: Any, border: Any, *values: Any
) -> Any:
    """Translates `torch.ops.rbnn.general_binary_conv2d`."""
    given = {"X": x, "W": weight, "scale": scale, "bias": bias, "T": thresholds, "window_sum": window_sum}
    given["border"] = border
    inputs = [given.get(name) for name in GENERAL_BINARY_CONV2D_OPERATOR.input_names()]
    attributes = GeneralBinaryConv2dAttributes.from_values(*values)
    return _general_binary_conv2d(*inputs, **attributes.to_dict())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps torch's exporter from printing its progress, its notes and, where it fails, whole graphs.

    A dozen loggers of torch and onnxscript take part, so logging as a whole stands still meanwhile.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _check_output(graph: ir.Graph, name: str) -> None:
    """Refuses what no runtime of ours could return: anything but one float32 tensor with N as first axis."""
    found = []
    for value in graph.outputs:
        dims = ["?"] if value.shape is None else [str(getattr(d, "value", d)) for d in value.shape]
        found.append((str(value.dtype).lower(), dims))
    if len(found) == 1 and found[0][0] == "float" and found[0][1][:1] == [BATCH]:
        return
    kinds = " and ".join(f"{dtype} [{', '.join(dims)}]" for dtype, dims in found) or "nothing"
    raise UserError(
        f"{name} returns {kinds}; its forward method must return one float32 tensor whose first axis is the "
        f"batch {BATCH}"
    )


def _check_precision(model: ir.Model, name: str) -> None:
    """Refuses what neither our operators nor ONNX Runtime compute: layers inside autocast."""
    for graph in graphs(model):
        for node in graph:
            for value in (node.inputs[0] if is_plain_binary_conv(node) else None, *node.outputs):
                kind = None if value is None else value.dtype
                is_input = value is not None and value not in node.outputs
                if kind is ir.DataType.BFLOAT16 or (is_input and kind is not ir.DataType.FLOAT):
                    raise UserError(
                        f"{name} computes {node.name} in {str(kind).lower()}, for instance by autocast; a "
                        "deployed model computes in float32: export it with autocast(..., enabled=False)"
                    )


def _make_room_for_names(model: ir.Model) -> None:
    """Renames weights that are called as the graph's input or output is."""
    weights = model.graph.initializers
    for name in (INPUT, OUTPUT):
        if (weight := weights.pop(name, None)) is None:
            continue
        new = f"{name}.weight"
        while new in weights:
            new += "_"
        weight.name = new
        if weight.const_value is not None:
            weight.const_value.name = new
        weights[new] = weight


class _FloatBounds(TorchFunctionMode):
    """Gives clamp float bounds for float values: torch's exporter refuses an integer beside a float."""

    def __torch_function__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), named: dict[str, Any] | None = None
    ) -> Any:
        named = named or {}
        if function in _CLAMPS and arguments and arguments[0].is_floating_point():
            arguments = tuple(map(_as_float, arguments))
            named = {name: _as_float(value) for name, value in named.items()}
        return function(*arguments, **named)


def _as_float(bound: Any) -> Any:
    return float(bound) if isinstance(bound, int) and not isinstance(bound, bool) else bound


def export_graph(module: nn.Module, input_shape: tuple[int, int, int], opset: int) -> ir.Model:
    """Exports a folded network with a dynamic batch.

    Args:
        module: Takes float32 [N, C, H, W], returns one tensor; its binary layers are folded.
        input_shape: (C, H, W).
        opset: Version of ONNX's default domain.

    Raises:
        UserError: torch.export cannot capture the module, or it does not return one tensor.
    """
    module = module.eval()
    parameter = next(iter([*module.parameters(), *module.buffers()]), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    # A batch of one would be specialised by torch.export.
    example = torch.zeros(2, *input_shape, device=device)
    table: dict[Callable[..., Any], Any] = {
        torch.ops.rbnn.binary_conv2d.default: _translate_binary_conv2d,
        torch.ops.rbnn.general_binary_conv2d.default: _translate_general_binary_conv2d,
    }
    try:
        with _quiet(), torch.no_grad(), _FloatBounds():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=opset,
                custom_translation_table=table,
                dynamic_shapes=({0: torch.export.Dim(BATCH)},),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
    except Exception as error:  # the exporter wraps whatever the module's code raises
        cause = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"torch.export cannot capture {type(module).__name__} for inputs of shape {list(example.shape)}: "
            f"{cause[0]}; mend its forward method or pass the right input shape"
        ) from error
    assert program is not None
    model: ir.Model = program.model
    _check_output(model.graph, type(module).__name__)
    name_after_modules(model)
    _check_precision(model, type(module).__name__)
    _make_room_for_names(model)
    return model
