"""Inspects a deployed .onnx file; needs neither torch nor a runtime."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import onnx

from rbnn_deploy.errors import UserError
from rbnn_deploy.inspecting.activation_memory import activation_memory
from rbnn_deploy.inspecting.summary import FLOAT_BYTES, LayerSummary, NetworkSummary, describe_input
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.model_files import ModelFile, read_model
from rbnn_deploy.onnx_graph import (
    binary_conv_attributes,
    constant_tensors,
    is_binary_conv,
    is_quant_conv,
    quant_conv_attributes,
    signature,
)
from rbnn_deploy.operators import PackedBinaryConv2dAttributes
from rbnn_deploy.quant_conv2d_rules import count_products
from rbnn_deploy.shape_inference import static_shapes

FLOAT_LAYERS = ("Conv", "Gemm", "MatMul")


def read_metadata(path: str | Path) -> ModelMetadata | None:
    """Reads a deployed model's metadata; None if rbnn-deploy did not export the file.

    Raises:
        UserError: See `rbnn_deploy.model_files.read_model`.
    """
    return read_model(path).metadata


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every value behind its batch axis, where all its sizes are known."""
    behind = {name: shape[1:] for name, shape in static_shapes(model).items()}
    return {
        name: tuple(size for size in sizes if size is not None)
        for name, sizes in behind.items()
        if None not in sizes
    }


def _binary_layer(
    node: onnx.NodeProto, parameters: dict[str, onnx.TensorProto], shapes: dict[str, tuple[int, ...]]
) -> tuple[LayerSummary, int]:
    attributes = binary_conv_attributes(node)
    outputs, kh, kw, _ = parameters[node.input[1]].dims
    weights = int(outputs * kh * kw) * attributes.group_channels
    output = shapes.get(node.output[0])
    size = sum(_bytes(parameters[name]) for name in [*node.input[1:4], *node.input[5:]] if name in parameters)
    pooled = 1
    if isinstance(attributes, PackedBinaryConv2dAttributes):
        pooled = math.prod(attributes.pool)
        output = None if output is None else (*output[:-1], int(outputs))  # channels, not their bytes
    macs = None if output is None else weights * output[0] * output[1] * pooled
    layer = LayerSummary(node.name, "binary", f"{node.op_type} {kh}x{kw}", output, weights, size, macs)
    return layer, FLOAT_BYTES * (weights + 2 * int(outputs))


def _int8_layer(
    node: onnx.NodeProto, parameters: dict[str, onnx.TensorProto], shapes: dict[str, tuple[int, ...]]
) -> tuple[LayerSummary, int]:
    attributes = quant_conv_attributes(node)
    W = tuple(parameters[node.input[1]].dims)
    x, macs = shapes.get(node.input[0]), None
    if x is not None:
        macs = count_products(W, attributes.map_size((0, *x)), attributes)
    size = sum(_bytes(parameters[name]) for name in node.input[1:5] if name in parameters)
    operator, weights = f"{node.op_type} {W[1]}x{W[2]}", math.prod(W)
    layer = LayerSummary(node.name, "int8", operator, shapes.get(node.output[0]), weights, size, macs)
    return layer, FLOAT_BYTES * (weights + W[0])  # with a bias


def _float_layer(
    node: onnx.NodeProto, parameters: dict[str, onnx.TensorProto], shapes: dict[str, tuple[int, ...]]
) -> LayerSummary:
    tensors = [parameters[name] for name in node.input[1:] if name in parameters]
    weight = tensors[0]
    count = math.prod(weight.dims)
    output = shapes.get(node.output[0])
    kernel = f" {weight.dims[2]}x{weight.dims[3]}" if node.op_type == "Conv" and len(weight.dims) == 4 else ""
    # A convolution's weights are used once per output pixel, a matrix's once per row of its input.
    positions = None if output is None else math.prod(output[1:] if node.op_type == "Conv" else output[:-1])
    macs = None if positions is None else count * positions
    size = sum(map(_bytes, tensors))
    return LayerSummary(node.name, "float", node.op_type + kernel, output, count, size, macs)


def _bytes(tensor: onnx.TensorProto) -> int:
    element: int = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return int(math.prod(tensor.dims)) * element


def inspect_onnx(path: str | Path) -> NetworkSummary:
    """Summarises a deployed model.

    Raises:
        UserError: The file cannot be read, is not an ONNX model, or holds a damaged layer of ours.
    """
    file = read_model(path)
    model, metadata = file.model, file.metadata
    graph = model.graph
    parameters = constant_tensors(graph)
    shapes, memory = _shapes(model), activation_memory(model)
    layers: list[LayerSummary] = []
    float_size = deployed = 0
    for node in graph.node:
        if is_binary_conv(node) or is_quant_conv(node):
            summarise = _binary_layer if is_binary_conv(node) else _int8_layer
            try:
                layer, as_float = summarise(node, parameters, shapes)
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"layer {node.name} of {path} is damaged ({error}); export the model again"
                ) from None
        elif node.op_type in FLOAT_LAYERS and any(name in parameters for name in node.input[1:2]):
            layer = _float_layer(node, parameters, shapes)
            as_float = layer.size
        else:
            continue
        needed = None if memory is None else memory.at_node.get(node.output[0])
        layers.append(replace(layer, activations=needed))
        float_size += as_float
        deployed += layer.size
    return NetworkSummary(
        f"{path}: {metadata.architecture if metadata else graph.name or 'ONNX model'}",
        _facts(file),
        tuple(layers),
        float_size,
        deployed,
        len(file.content),
        None if memory is None else memory.peak,
        None if memory is None else memory.peak_node,
    )


def _facts(file: ModelFile) -> dict[str, str]:
    model, metadata = file.model, file.metadata
    takes = signature(model.graph)
    facts: dict[str, str] = {}
    if metadata is not None:
        if metadata.input_shape is not None:
            channels, height, width = metadata.input_shape
            facts["input"] = f"N x {channels} x {height} x {width}"
            if metadata.takes_pixels:
                facts["input"] = f"N x {height} x {width} x {channels}, pixels from 0 to 255 (uint8)"
        else:
            facts |= describe_input(takes.inputs)
        if metadata.input_shape is None or len(takes.outputs) > 1:
            facts["outputs"] = takes.describe_outputs()
        if metadata.num_classes is not None:
            facts["classes"] = str(metadata.num_classes)
        if metadata.mean is not None and metadata.std is not None:
            where = ", in the model" if metadata.takes_pixels else ""
            facts["normalisation"] = f"mean {list(metadata.mean)}, std {list(metadata.std)}{where}"
        if metadata.checkpoint_sha256 is not None:
            facts["checkpoint SHA-256"] = metadata.checkpoint_sha256
        if metadata.version is not None:
            facts["written by"] = f"rbnn-deploy {metadata.version}"
    opset = next((entry.version for entry in model.opset_import if not entry.domain), "?")
    facts["format"] = f"opset {opset}, IR {model.ir_version}"
    counts = Counter(node.op_type for node in model.graph.node)
    facts["content SHA-256"] = (
        file.digest or "none in the file, so damage to its weights would not be noticed; export it again"
    )
    facts["nodes"] = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    return facts
