"""Deployed model with int8 float layers -> the same with them in float32, as it was before it was quantised.

1. DequantizeLinear of a constant is that constant in float32.
2. QuantizeLinear and DequantizeLinear of an activation are left out. Behind a convolution they also clip to
   the quantised range, which stands for the activation function that the quantiser took in: a Clip.
3. Reshape of Flatten to the shape that was flattened is left out.
4. SpaceToDepth(2) in front of a convolution is taken back: its channels are pairs of rows and columns, which
   stride 2 reads as well, and rows and columns of zeros that filled up the pairs are dropped.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from rbnn_deploy.benchmarking.graph import attributes, constants, static_shapes


def dequantize(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy without quantisation; a copy as it is where there is none."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    values = constants(graph)
    producers = {name: node for node in graph.node for name in node.output}
    shapes = static_shapes(model)
    aliases: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in result.graph.node:
        node.input[:] = [aliases.get(name, name) for name in node.input]
        if node.op_type == "QuantizeLinear":
            before = producers.get(node.input[0])
            if before is not None and before.op_type == "Conv":
                nodes.append(_range_as_clip(node, values, graph))
            else:
                aliases[node.output[0]] = node.input[0]
        elif node.op_type == "DequantizeLinear":
            if node.input[0] in values:
                array = _dequantized(node, values)
                graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
            else:
                aliases[node.output[0]] = node.input[0]
        elif (viewed := _viewed(node, producers, values, shapes)) is not None:
            aliases[node.output[0]] = aliases.get(viewed, viewed)
        else:
            nodes.append(node)
    read = {name for node in nodes for name in node.input} | {output.name for output in graph.output}
    nodes = [node for node in nodes if node.op_type != "Flatten" or node.output[0] in read]
    values = constants(graph)
    nodes = _without_pairs(nodes, values, graph)
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return result


def _viewed(
    node: onnx.NodeProto,
    producers: dict[str, onnx.NodeProto],
    values: dict[str, npt.NDArray[Any]],
    shapes: Mapping[str, Sequence[int | None]],
) -> str | None:
    """Returns what a Reshape of Flatten is a view of, where it has that value's shape."""
    before = producers.get(node.input[0]) if node.op_type == "Reshape" else None
    target = values.get(node.input[1]) if before is not None else None
    if before is None or before.op_type != "Flatten" or target is None:
        return None
    shape = shapes.get(before.input[0])
    return before.input[0] if shape is not None and list(shape[1:]) == list(target[1:]) else None


def _dequantized(node: onnx.NodeProto, values: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    quantized, scale, zero = (values[name] for name in node.input)
    shape = [1] * quantized.ndim
    if scale.ndim:
        shape[attributes(node).get("axis", 1)] = -1
    wide = quantized.astype(np.float32) - zero.astype(np.float32).reshape(shape)
    return np.asarray(wide * scale.reshape(shape), np.float32)


def _range_as_clip(
    node: onnx.NodeProto, values: dict[str, npt.NDArray[Any]], graph: onnx.GraphProto
) -> onnx.NodeProto:
    scale, zero = values[node.input[1]], values[node.input[2]]
    limits = np.iinfo(zero.dtype)
    names = []
    for suffix, limit in (("low", limits.min), ("high", limits.max)):
        names.append(f"{node.output[0]}.{suffix}")
        bound = np.float32(float(scale) * (limit - int(zero)))
        graph.initializer.append(numpy_helper.from_array(np.array(bound), names[-1]))
    return helper.make_node("Clip", [node.input[0], *names], [node.output[0]], name=node.output[0])


def _without_pairs(
    nodes: list[onnx.NodeProto], values: dict[str, npt.NDArray[Any]], graph: onnx.GraphProto
) -> list[onnx.NodeProto]:
    pairs = {
        node.output[0]: node.input[0]
        for node in nodes
        if node.op_type == "SpaceToDepth" and attributes(node)["blocksize"] == 2
    }
    for index, node in enumerate(nodes):
        if node.op_type != "Conv" or node.input[0] not in pairs or node.input[1] not in values:
            continue
        weight, pads = _unpaired(values[node.input[1]], list(attributes(node).get("pads", [0] * 4)))
        name = f"{node.input[1]}.unpaired"
        graph.initializer.append(numpy_helper.from_array(weight, name))
        inputs = [pairs[node.input[0]], name, *node.input[2:]]
        nodes[index] = helper.make_node(
            "Conv",
            inputs,
            list(node.output),
            name=node.name,
            kernel_shape=list(weight.shape[2:]),
            strides=[2, 2],
            pads=pads,
        )
    read = {name for node in nodes for name in node.input}
    return [node for node in nodes if node.output[0] in read or node.output[0] not in pairs]


def _unpaired(weight: npt.NDArray[Any], pads: list[int]) -> tuple[npt.NDArray[np.float32], list[int]]:
    outputs, channels, rows, columns = weight.shape
    split = weight.reshape(outputs, 2, 2, channels // 4, rows, columns).transpose(0, 3, 4, 1, 5, 2)
    wide = split.reshape(outputs, channels // 4, 2 * rows, 2 * columns)
    pads = [2 * pad for pad in pads]
    for axis in (0, 1):
        lines = np.moveaxis(wide, 2 + axis, 0)
        front = int(pads[axis] > 0 and not lines[0].any())
        back = int(pads[axis + 2] > 0 and not lines[-1].any())
        pads[axis] -= front
        pads[axis + 2] -= back
        lines = lines[front : len(lines) - back]
        wide = np.moveaxis(lines, 0, 2 + axis)
    return np.ascontiguousarray(wide), pads
