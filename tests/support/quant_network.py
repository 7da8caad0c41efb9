"""A small network of QuantConv2d and one binary layer, built by hand, with random weights."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rbnn_deploy.operators import (
    DOMAIN,
    DOMAIN_VERSION,
    BinaryConv2dAttributes,
    OperatorAttributes,
    QuantConv2dAttributes,
)

Arrays = dict[str, np.ndarray | None]


def model_of(
    nodes: list[onnx.NodeProto], shape: tuple[int, ...], output: str, stored: dict[str, np.ndarray]
) -> onnx.ModelProto:
    """A model of one input `x` [N, *shape]."""
    graph = helper.make_graph(
        nodes,
        "quant",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def node(
    attributes: OperatorAttributes, x: str, y: str, stored: dict[str, np.ndarray], values: Arrays, *more: str
) -> onnx.NodeProto:
    """A node of ours named after its output, whose other inputs are stored, but for computed ones behind."""
    names = [f"{y}.{name}" for name, value in values.items() if value is not None]
    stored |= {f"{y}.{name}": value for name, value in values.items() if value is not None}
    return helper.make_node(
        attributes.operator, [x, *names, *more], [y], y, domain=DOMAIN, **attributes.to_dict()
    )


def draw(rng: np.random.Generator, outputs: int, kernel: int, channels: int) -> Arrays:
    return {
        "W": rng.integers(-128, 128, (outputs, kernel, kernel, channels), np.int8),
        "scale": (rng.standard_normal(outputs) / 4000).astype(np.float32),
        "bias": rng.standard_normal(outputs, np.float32),
        "factor": np.full(1, 40, np.float32),
    }


def quant_network() -> onnx.ModelProto:
    """A stem with a pool, a binary layer, a shortcut with a mean that the next layer adds, and a head."""
    rng = np.random.default_rng(7)
    stored: dict[str, np.ndarray] = {}
    stem = QuantConv2dAttributes(
        3, strides=(2, 2), pads=(3, 3, 3, 3), layout="channels_first", activation="hardtanh",
        pool_kernel=(3, 3), pool_strides=(2, 2), pool_pads=(1, 1, 1, 1),
    )  # fmt: skip
    binary = BinaryConv2dAttributes(24, (2, 2), (1, 1, 1, 1), activation="hardtanh")
    bits: Arrays = {
        "W": rng.integers(0, 256, (40, 3, 3, 3), np.uint8),
        "scale": rng.standard_normal(40, np.float32) / 50,
        "bias": rng.standard_normal(40, np.float32),
    }
    shortcut = QuantConv2dAttributes(24, mean_kernel=(2, 2), mean_strides=(2, 2))
    wide = QuantConv2dAttributes(40, pads=(1, 1, 1, 1), low=0, high=255, activation="relu")
    head = QuantConv2dAttributes(40, mean_kernel=(0, 0), low=-127)
    nodes = [
        node(stem, "x", "stem", stored, draw(rng, 24, 7, 3)),
        node(shortcut, "stem", "shortcut", stored, draw(rng, 40, 1, 24)),
        node(binary, "stem", "binary", stored, bits, "shortcut"),
        node(wide, "binary", "wide", stored, draw(rng, 40, 3, 40), "binary"),
        node(head, "wide", "head", stored, draw(rng, 10, 1, 40)),
        helper.make_node("Flatten", ["head"], ["logits"], "flat"),
    ]
    return model_of(nodes, (3, 31, 29), "logits", stored)
