"""The plain graph of a deployed network, without its weights, as a property of the file.

A deployed graph is fused and channels-last, so nobody could tell from it what float network it stands for.
The file therefore keeps that network's graph: channels-first, after constant folding, with a Conv for each
binary layer; operators, attributes, integers and single numbers, and of all other tensors type and shape
only. `bench` fills in random weights and has its float baselines.

The property holds an ONNX model, compressed by zlib, in base64; ResNet-18 takes 1 to 2 kB. It is input like
any other part of a file: both sizes are bounded before anything is built.
"""

import base64
import binascii
import zlib

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from rbnn_deploy.errors import UserError
from rbnn_deploy.metadata import PREFIX
from rbnn_deploy.onnx_graph import properties

PROPERTY = PREFIX + "plain_graph"
LARGEST_GRAPH = 1 << 24  # bytes of the model without weights
LARGEST_WEIGHTS = 1 << 31  # bytes of all weights
_KEPT_ELEMENTS = 1  # of float tensors; larger ones are weights
_SETTINGS = ("Resize",)  # its scales are not weights


def pack(model: onnx.ModelProto) -> str:
    """Packs a float model's graph.

    Args:
        model: The plain network with weights; it is not changed.

    Returns:
        The property's value.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    settings = {name for node in bare.graph.node if node.op_type in _SETTINGS for name in node.input}
    for tensor in bare.graph.initializer:
        weight = tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) > _KEPT_ELEMENTS
        if weight and tensor.name not in settings:
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
    del bare.graph.value_info[:]
    del bare.metadata_props[:]
    bare.ClearField("doc_string")
    _shorten_names(bare.graph)
    return base64.b64encode(zlib.compress(bare.SerializeToString(deterministic=True), 9)).decode()


def _shorten_names(graph: onnx.GraphProto) -> None:
    """Numbers the values of a graph; its inputs and outputs keep their names, nested graphs all of theirs."""
    kept = {value.name for value in (*graph.input, *graph.output)}
    if any(a.HasField("g") for node in graph.node for a in node.attribute):
        return  # what nested graphs read from outside goes by name
    short: dict[str, str] = {"": ""}

    def shortened(name: str) -> str:
        return short.setdefault(name, name if name in kept else str(len(short)))

    for tensor in graph.initializer:
        tensor.name = shortened(tensor.name)
        tensor.ClearField("doc_string")
    for node in graph.node:
        node.input[:] = [shortened(name) for name in node.input]
        node.output[:] = [shortened(name) for name in node.output]
        for field in ("name", "doc_string", "metadata_props"):
            node.ClearField(field)


def unpack(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Reads the plain graph of a deployed model.

    Args:
        model: What `export` wrote.

    Returns:
        The float network's model, whose weights have no values; None where the file has none, because an
        earlier version wrote it.

    Raises:
        UserError: The property is damaged or out of proportion.
    """
    packed = properties(model).get(PROPERTY)
    if packed is None:
        return None
    damaged = UserError("the plain graph that the model's metadata holds is damaged; export the model again")
    try:
        stream = zlib.decompressobj()
        content = stream.decompress(base64.b64decode(packed, validate=True), LARGEST_GRAPH)
        bare = onnx.load_model_from_string(content)
    except (binascii.Error, ValueError, zlib.error, DecodeError) as error:
        raise damaged from error
    if not stream.eof or not bare.graph.node:
        raise damaged
    return bare


def fill(bare: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """Gives random weights to a plain graph, of a scale that keeps activations finite.

    Args:
        bare: What `unpack` returned; it is not changed.
        seed: Of the weights.

    Returns:
        A model that runs; its nodes are named after their operators.

    Raises:
        UserError: The weights take more than 2 GiB, or the model is not valid.
    """
    model = onnx.ModelProto()
    model.CopyFrom(bare)
    weights = [t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT and not _has_values(t)]
    if (
        any(d < 0 for t in weights for d in t.dims)
        or sum(4 * int(np.prod(t.dims, dtype=object)) for t in weights) > LARGEST_WEIGHTS
    ):
        raise UserError(
            "the plain graph that the model's metadata holds is out of proportion; export it again"
        )
    readers = {
        name: (node, index) for node in model.graph.node for index, name in enumerate(node.input) if name
    }
    rng = np.random.default_rng(seed)
    for tensor in weights:
        values = _draw(readers.get(tensor.name), tuple(tensor.dims), rng)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise UserError(
            "the plain graph that the model's metadata holds is not valid; export the model again"
        ) from error
    return model


def _has_values(tensor: TensorProto) -> bool:
    return bool(tensor.raw_data or tensor.float_data) or 0 in tensor.dims


def _draw(
    reader: tuple[onnx.NodeProto, int] | None, shape: tuple[int, ...], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Draws a weight by what reads it."""
    node, index = reader if reader is not None else (onnx.NodeProto(), 0)
    if node.op_type == "BatchNormalization":  # scale, bias, mean, variance
        return np.full(shape, 1.0 if index in (1, 4) else 0.0, np.float32)
    if node.op_type in ("Mul", "Div", "Pow"):
        return rng.uniform(0.5, 1.0, shape).astype(np.float32)
    rows = len(shape) > 1 and node.op_type == "MatMul"
    fan_in = int(np.prod(shape[:-1] if rows else shape[1:])) if len(shape) > 1 else 1
    scale = fan_in**-0.5 if len(shape) > 1 else 0.1
    return (scale * rng.standard_normal(shape, np.float32)).astype(np.float32)
