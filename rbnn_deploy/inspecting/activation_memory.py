"""How much memory the values between a model's nodes take, at each node and at most."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx
from onnx import AttributeProto, helper

from rbnn_deploy.onnx_graph import constant_tensors, dimensions, real_inputs
from rbnn_deploy.shape_inference import inferred_values

# Their output is their input in another shape: runtimes share the memory.
VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")


@dataclass(frozen=True)
class ActivationMemory:
    """Bytes of the values that are needed at once, for one sample.

    A value counts from the node that computes it to the last node that reads it, the model's inputs from the
    beginning and its outputs to the end. Runtimes need more where they reserve whole blocks, and less where a
    node computes in place.

    Attributes:
        at_node: While each node runs, by the name of its first output.
        peak: The largest of them.
        peak_node: The name of the node where that is.
    """

    at_node: dict[str, int]
    peak: int
    peak_node: str


def activation_memory(model: onnx.ModelProto) -> ActivationMemory | None:
    """Computes the memory of a model's activations; None where the size of one is not known.

    Args:
        model: See `rbnn_deploy.shape_inference.inferred_values`.
    """
    sizes = _sizes(model)
    graph = model.graph
    stored = constant_tensors(graph).keys()
    owner: dict[str, str] = {}  # views -> the value whose memory they are
    first: dict[str, int] = {value.name: 0 for value in real_inputs(graph)}
    last: dict[str, int] = dict.fromkeys(first, 0)
    for index, node in enumerate(graph.node):
        for name in _reads(node):
            if name and name not in stored:
                last[owner.get(name, name)] = index
        for position, name in enumerate(node.output):
            if not name or name in stored:
                continue
            if node.op_type in VIEWS and not node.domain and position == 0 and node.input[0] not in stored:
                owner[name] = owner.get(node.input[0], node.input[0])
            else:
                first[name] = last[name] = index
    for value in graph.output:
        last[owner.get(value.name, value.name)] = len(graph.node) - 1
    if not graph.node or any(name not in sizes for name in first):
        return None
    changes = [0] * (len(graph.node) + 1)
    for name, begin in first.items():
        changes[begin] += sizes[name]
        changes[last[name] + 1] -= sizes[name]
    live, at_node, peak, peak_node = 0, {}, 0, ""
    for node, change in zip(graph.node, changes, strict=False):
        live += change
        at_node[node.output[0]] = live
        if live > peak:
            peak, peak_node = live, node.name or node.output[0]
    return ActivationMemory(at_node, peak, peak_node)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Yields the values that a node reads, in the graphs that it holds too."""
    yield from node.input
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            for inner in attribute.g.node:
                yield from _reads(inner)
            yield from (output.name for output in attribute.g.output)


def _sizes(model: onnx.ModelProto) -> Mapping[str, int]:
    """Returns the bytes of each value for one sample, where they are known."""
    sizes = {}
    for value in inferred_values(model):
        kind = value.type.tensor_type.elem_type
        shape = dimensions(value)
        sample = (1 if shape and shape[0] is None else shape[0], *shape[1:]) if shape else ()
        if kind in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING) or None in sample:
            continue
        element = helper.tensor_dtype_to_np_dtype(kind).itemsize
        sizes[value.name] = element * math.prod(size for size in sample if size is not None)
    return sizes
