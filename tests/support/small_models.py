"""A small deployed model, built by hand: a float stem, three binary layers with a residual, a float head."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rbnn_deploy.exporters.onnx.functions import binary_conv2d_function
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.operators import BINARY_CONV2D, DOMAIN, BinaryConv2dAttributes
from rbnn_deploy.runtimes.operator_model import IR_VERSION, OPSETS
from rbnn_deploy.topology import PROPERTY, pack

CHANNELS, CLASSES, SIZE = 20, 10, 8
LAYERS = ("stage.conv1", "stage.conv2", "stage.conv3")


def small_plain_graph() -> onnx.ModelProto:
    """Builds the float network that the model stands for, as `export` would keep it."""
    tensors, nodes = {}, []

    def conv(name: str, x: str, channels: int) -> str:
        tensors[f"{name}.weight"] = np.ones((CHANNELS, channels, 3, 3), np.float32)
        nodes.append(helper.make_node("Conv", [x, f"{name}.weight"], [name], pads=[1, 1, 1, 1]))
        return name

    tensors["low"], tensors["high"] = np.array(-1, np.float32), np.array(1, np.float32)
    x = conv("stem", "input", 3)
    for name, residual in zip(LAYERS, (None, "stem", LAYERS[1]), strict=True):
        y = conv(f"{name}.conv", x, CHANNELS)
        if residual is not None:
            nodes.append(helper.make_node("Add", [y, residual], [f"{name}.sum"]))
            y = f"{name}.sum"
        nodes.append(helper.make_node("Clip", [y, "low", "high"], [name]))
        x = name
    tensors["head.weight"] = np.ones((CHANNELS, CLASSES), np.float32)
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "head.weight"], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=IR_VERSION)


def small_model(seed: int = 0, *, metadata: bool = True, function: bool = True) -> onnx.ModelProto:
    """Builds the model: float32 [N, 3, 8, 8] to logits [N, 10].

    Args:
        seed: Of the weights.
        metadata: Whether the model carries ours.
        function: Whether it carries the fallback function.
    """
    rng = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {"no_residual": np.zeros((), np.float32)}
    nodes = []

    def weights(name: str, *shape: int) -> str:
        tensors[name] = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        return name

    def binary(name: str, x: str, residual: str, y: str) -> None:
        bits = rng.integers(0, 2, (CHANNELS, 3, 3, CHANNELS)).astype(bool)
        tensors[f"{name}.weight"] = np.packbits(bits, axis=-1, bitorder="little")
        tensors[f"{name}.scale"] = rng.uniform(0.02, 0.1, CHANNELS).astype(np.float32)
        tensors[f"{name}.bias"] = rng.standard_normal(CHANNELS).astype(np.float32) / 4
        attributes = BinaryConv2dAttributes(CHANNELS, pads=(1, 1, 1, 1), activation="hardtanh")
        inputs = [x, f"{name}.weight", f"{name}.scale", f"{name}.bias", residual]
        values = attributes.to_dict()
        nodes.append(helper.make_node(BINARY_CONV2D, inputs, [y], name=name, domain=DOMAIN, **values))

    weights("stem.weight", CHANNELS, 3, 3, 3)
    weights("stem.bias", CHANNELS)
    nodes.append(helper.make_node("Conv", ["input", "stem.weight", "stem.bias"], ["stem"], pads=[1, 1, 1, 1]))
    nodes.append(helper.make_node("Transpose", ["stem"], ["a"], perm=[0, 2, 3, 1]))
    binary(LAYERS[0], "a", "no_residual", "b")
    binary(LAYERS[1], "b", "a", "c")
    binary(LAYERS[2], "c", "c", "d")
    nodes.append(helper.make_node("Transpose", ["d"], ["e"], perm=[0, 3, 1, 2]))
    nodes.append(helper.make_node("GlobalAveragePool", ["e"], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    weights("head.weight", CHANNELS, CLASSES)
    nodes.append(helper.make_node("Gemm", ["flat", "head.weight"], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    model = helper.make_model(
        graph,
        functions=[binary_conv2d_function()] if function else [],
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
        ir_version=IR_VERSION,
    )
    if metadata:
        described = ModelMetadata("small", (3, SIZE, SIZE), CLASSES, (0.5,) * 3, (0.25,) * 3)
        properties = {**described.to_properties(), PROPERTY: pack(small_plain_graph())}
        helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    return model


def write_small_model(folder: Path, name: str = "small.onnx", **options: object) -> Path:
    """Writes the model of these options to a file."""
    path = folder / name
    onnx.save(small_model(**options), path)
    return path


def write_model_of_several(folder: Path) -> Path:
    """Writes the model with a second input, int64 [N, 3], and a second output, float32 [N, 3]."""
    model = small_model(metadata=False)
    values = {"steps": TensorProto.INT64, "more": TensorProto.FLOAT}
    steps, more = (helper.make_tensor_value_info(name, kind, ["N", 3]) for name, kind in values.items())
    model.graph.node.append(helper.make_node("Cast", ["steps"], ["more"], to=TensorProto.FLOAT))
    model.graph.input.append(steps)
    model.graph.output.append(more)
    helper.set_model_props(model, ModelMetadata("several").to_properties())
    onnx.checker.check_model(model)
    path = folder / "several.onnx"
    onnx.save(model, path)
    return path


def images(count: int, seed: int = 0) -> np.ndarray:
    """Draws float32 [count, 3, 8, 8]."""
    return np.random.default_rng(seed).standard_normal((count, 3, SIZE, SIZE), dtype=np.float32)
