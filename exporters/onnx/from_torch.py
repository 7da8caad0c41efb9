"""Folded torch module -> ONNX graph, by torch.export and torch.onnx."""

import contextlib
import inspect
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from onnxscript import ir, values
from torch import nn
from torch.export.graph_signature import ConstantArgument, OutputKind
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.onnx.floor_pools import floor_pools
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
from rbnn_deploy.pytorch.module_inputs import bind, check_name, zeros
from rbnn_deploy.pytorch.outputs import name_outputs, tensors
from rbnn_deploy.signature import BATCH, IMAGE_AXES, Signature, TensorSpec

USER_OUTPUT = OutputKind.USER_OUTPUT
_CLAMPS = tuple(
    getattr(home, name) for home in (torch, torch.Tensor) for name in ("clamp", "clamp_", "clip", "clip_")
)

_MAP_AXES = IMAGE_AXES["float32"]
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


def _check_outputs(graph: ir.Graph, name: str) -> None:
    """Refuses what no runtime of ours could return: anything but float32 tensors with N as first axis."""
    found = []
    for value in graph.outputs:
        dims = ["?"] if value.shape is None else [str(getattr(d, "value", d)) for d in value.shape]
        found.append((str(value.dtype).lower(), dims))
    if found and all(dtype == "float" and dims[:1] == [BATCH] for dtype, dims in found):
        return
    kinds = " and ".join(f"{dtype} [{', '.join(dims)}]" for dtype, dims in found) or "nothing"
    raise UserError(
        f"{name} returns {kinds}; each tensor that its forward method returns must be float32 and have the "
        f"batch {BATCH} as first axis"
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


def _name_inputs_and_outputs(model: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Names the graph's inputs and outputs, and renames what else is called so."""
    fixed = [*model.graph.inputs, *model.graph.outputs]
    names = [*inputs, *outputs]
    _make_room_for_names(model, names)
    for graph in graphs(model):
        for value in (value for node in graph for value in node.outputs):
            if value.name in names and value not in fixed:
                value.name = f"{value.name}.value"
    for value, name in zip(fixed, names, strict=True):
        value.name = name


def _make_room_for_names(model: ir.Model, names: Sequence[str]) -> None:
    """Renames weights that are called as an input or output of the graph is to be."""
    weights = model.graph.initializers
    for name in names:
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


def export_graph(
    module: nn.Module,
    inputs: Sequence[TensorSpec],
    opset: int,
    output_names: Sequence[str] | None = None,
    *,
    dynamic_size: bool = False,
) -> ir.Model:
    """Exports a folded network with a dynamic batch.

    Args:
        module: Returns tensors, alone or in tuples and dicts; its binary layers are folded.
        inputs: What it takes, in its order.
        opset: Version of ONNX's default domain.
        output_names: In the order of the tensors; None for names from the structure around them
            (`rbnn_deploy.pytorch.outputs`).
        dynamic_size: Whether height and width of images may vary too.

    Raises:
        UserError: torch.export cannot capture the module, it returns no tensor or one of another type or
            first axis, there are not as many names as tensors, or a dynamic size is asked for where the
            inputs are no images.
    """
    if dynamic_size and not Signature(tuple(inputs), ()).takes_images:
        raise UserError(
            f"a dynamic size is that of images, and {type(module).__name__} takes "
            f"{Signature(tuple(inputs), ()).describe_inputs()}; export it without a dynamic size"
        )
    module = module.eval()
    parameter = next(iter([*module.parameters(), *module.buffers()]), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    # A batch of one would be specialised by torch.export.
    arguments, keywords = bind(module, zeros(inputs, 2, device))
    shapes = " and ".join(str([2, *(spec.sample_shape or ())]) for spec in inputs)
    table: dict[Callable[..., Any], Any] = {
        torch.ops.rbnn.binary_conv2d.default: _translate_binary_conv2d,
        torch.ops.rbnn.general_binary_conv2d.default: _translate_general_binary_conv2d,
    }
    try:
        with _quiet(), torch.no_grad(), _FloatBounds():
            program = torch.onnx.export(
                module,
                arguments,
                kwargs=keywords,
                dynamo=True,
                opset_version=opset,
                custom_translation_table=table,
                dynamic_shapes=_dynamic_axes(module, arguments, keywords, sizes=dynamic_size),
                verbose=False,
            )
    except Exception as error:  # the exporter wraps whatever the module's code raises
        _check_returned(module, arguments, keywords)
        cause = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"torch.export cannot capture {type(module).__name__} for inputs of shape {shapes}: {cause[0]}; "
            "mend its forward method or pass the right input shape"
        ) from error
    assert program is not None
    model: ir.Model = program.model
    floor_pools(model)
    _check_outputs(model.graph, type(module).__name__)
    names = _output_names(program, output_names, [spec.name for spec in inputs])
    name_after_modules(model)
    _check_precision(model, type(module).__name__)
    _name_inputs_and_outputs(model, [spec.name for spec in inputs], names)
    if dynamic_size:
        _name_sizes(model, type(module).__name__)
    return model


def _check_returned(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    """Refuses a module that runs, but returns something else than tensors; torch's own error does not say it.

    Raises:
        UserError: It is such a module.
    """
    try:
        with torch.no_grad():
            returned = module(*arguments, **keywords)
    except Exception:  # the same error as in the exporter, which tells it
        return
    tensors(returned)


def _dynamic_axes(
    module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], *, sizes: bool
) -> dict[str, Any]:
    """Returns torch.export's description of what may vary.

    That is the first axis of every tensor, equally, and the last two of images if their sizes are to vary.
    """
    batch, size = torch.export.Dim(BATCH), torch.export.Dim.DYNAMIC
    bound = inspect.signature(module.forward).bind(*arguments, **keywords)

    def axes(tensor: torch.Tensor) -> dict[int, Any]:
        return {0: batch, 2: size, 3: size} if sizes and tensor.ndim == len(_MAP_AXES) else {0: batch}

    return {name: tree_map(axes, value) for name, value in bound.arguments.items()}


def _name_sizes(model: ir.Model, name: str) -> None:
    """Calls height and width of the images H and W, also where other sizes depend on them.

    Raises:
        UserError: There are no images, or the network allows only one size of them.
    """
    shape = model.graph.inputs[0].shape
    found = [getattr(size, "value", size) for size in shape or ()]
    images = len(model.graph.inputs) == 1 and len(found) == len(_MAP_AXES)
    if not images or not all(isinstance(size, str) for size in found[2:]):
        raise UserError(
            f"{name} takes inputs of one size only, for instance because it flattens a map for a linear "
            "layer; pool the map to a fixed size first, or export it without a dynamic size"
        )
    names = dict(zip(map(str, found[2:]), _MAP_AXES[2:], strict=True))
    values = [*model.graph.inputs, *(v for graph in graphs(model) for node in graph for v in node.outputs)]
    for value in values:
        if value.shape is not None:
            value.shape = ir.Shape([_renamed(d, names) for d in value.shape])


def _renamed(size: int | ir.SymbolicDim, names: dict[str, str]) -> int | ir.SymbolicDim:
    if isinstance(size, int) or size.value is None:
        return size
    return ir.SymbolicDim(re.sub(r"\w+", lambda word: names.get(word[0], word[0]), size.value))


def _output_names(
    program: torch.onnx.ONNXProgram, given: Sequence[str] | None, inputs: Sequence[str]
) -> list[str]:
    """Returns the names of the tensors that a captured module returns; see `export_graph`."""
    captured = program.exported_program
    assert captured is not None
    returned = [spec.arg for spec in captured.graph_signature.output_specs if spec.kind == USER_OUTPUT]
    present = [not isinstance(argument, ConstantArgument) for argument in returned]
    names = name_outputs(captured.call_spec.out_spec, present)
    if given is not None:
        if len(given) != len(names):
            raise UserError(
                f"there are {len(given)} names for {len(names)} outputs ({', '.join(names)}); "
                "name each output once"
            )
        names = list(given)
    for name in names:
        check_name(name, "output")
        if name in inputs or names.count(name) > 1:
            raise UserError(f"two inputs or outputs are called {name}; pass other output_names")
    return names
