"""The digest of a deployed model, by which damage is noticed: damaged weights run, and answer something else.

It is the SHA-256 of what the model computes and says about itself: graph, functions, stored tensors and our
own metadata properties. It does not change when a program reads the file and writes it again, whatever the
order of stored tensors, attributes and functions, nor with names of nodes, comments and others' properties.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

from rbnn_deploy.metadata import PREFIX
from rbnn_deploy.model_files.errors import InvalidModelError
from rbnn_deploy.onnx_graph import properties

PROPERTY = PREFIX + "sha256"


def model_digest(model: onnx.ModelProto) -> str:
    """Computes the digest of a model, which `read_model` or the exporter has found valid.

    Returns:
        64 hexadecimal digits.
    """
    own = {key: value for key, value in properties(model).items() if key.startswith(PREFIX)}
    own.pop(PROPERTY, None)
    content = [
        _opsets(model.opset_import),
        _graph(model.graph),
        sorted(map(_function, model.functions)),
        sorted(own.items()),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def add_digest(model: onnx.ModelProto) -> None:
    """Stores the model's digest in its properties, in the place of one that it has."""
    digest = model_digest(model)
    onnx.helper.set_model_props(model, {**properties(model), PROPERTY: digest})


def check_digest(model: onnx.ModelProto) -> str | None:
    """Checks that a model has the digest that it carries.

    Returns:
        The digest; None if it carries none, as models of other programs and of earlier versions do.

    Raises:
        InvalidModelError: It has another one.
    """
    stored = properties(model).get(PROPERTY)
    if stored is not None and stored != model_digest(model):
        raise InvalidModelError(
            "its weights, graph or metadata are not those that were exported (their SHA-256 is another); "
            "the file is damaged",
            f"export or copy it again, or delete its property {PROPERTY} if you changed the model yourself",
        )
    return stored


def _graph(graph: onnx.GraphProto) -> list[Any]:
    return [
        [_value(value) for value in graph.input],
        [_value(value) for value in graph.output],
        sorted(map(_tensor, graph.initializer)),
        [_node(node) for node in graph.node],
    ]


def _function(function: onnx.FunctionProto) -> list[Any]:
    return [
        function.domain,
        function.name,
        function.overload,
        list(function.input),
        list(function.output),
        sorted(function.attribute),
        sorted(map(_attribute, function.attribute_proto)),
        _opsets(function.opset_import),
        [_node(node) for node in function.node],
    ]


def _node(node: onnx.NodeProto) -> list[Any]:
    kind = [node.domain, node.op_type, node.overload]
    return [*kind, list(node.input), list(node.output), sorted(map(_attribute, node.attribute))]


def _attribute(attribute: onnx.AttributeProto) -> list[Any]:
    """Returns name, type and value, each name once per node; numbers exactly, as text."""
    value: Any
    if attribute.ref_attr_name:
        value = ["refers to", attribute.ref_attr_name]
    elif attribute.type == AttributeProto.GRAPH:
        value = _graph(attribute.g)
    elif attribute.type == AttributeProto.TENSOR:
        value = _tensor(attribute.t)
    else:
        held = onnx.helper.get_attribute_value(attribute)
        several = isinstance(held, Iterable) and not isinstance(held, bytes)
        value = [_text(one) for one in held] if several else _text(held)
    return [attribute.name, attribute.type, value]


def _text(value: float | bytes) -> str:
    return value.hex() if isinstance(value, float | bytes) else str(value)


def _tensor(tensor: onnx.TensorProto) -> list[Any]:
    if tensor.HasField("raw_data"):
        content = tensor.raw_data
    elif tensor.data_type == TensorProto.STRING:
        content = json.dumps([text.hex() for text in tensor.string_data]).encode()
    else:
        content = numpy_helper.to_array(tensor).tobytes()
    return [tensor.name, tensor.data_type, list(tensor.dims), hashlib.sha256(content).hexdigest()]


def _value(value: onnx.ValueInfoProto) -> list[Any]:
    kind = value.type.tensor_type
    sizes = [d.dim_value if d.HasField("dim_value") else d.dim_param for d in kind.shape.dim]
    return [value.name, kind.elem_type, sizes if kind.HasField("shape") else None]


def _opsets(entries: Iterable[onnx.OperatorSetIdProto]) -> list[list[Any]]:
    return sorted([entry.domain, entry.version] for entry in entries)
