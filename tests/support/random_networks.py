"""Random networks of binary layers of both operators, residuals and what lies between."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rbnn_deploy.operators import (
    DOMAIN,
    DOMAIN_VERSION,
    OPERATORS,
    BinaryConv2dAttributes,
    GeneralBinaryConv2dAttributes,
)


def draw_geometry(
    rng: np.random.Generator, shape: tuple[int, int, int]
) -> tuple[tuple[Any, ...], list[int], int]:
    """Draws the attributes of a layer's geometry, its kernel's size, and the number of its outputs."""
    H, W, C = shape
    groups = int(rng.choice([g for g in (1, 1, 2, 3, C) if C % g == 0]))
    outputs = groups * int(rng.integers(1, 1 + max(1, 40 // groups)))
    kernel = [int(k) for k in rng.integers(1, 4, 2)]
    dilations = [int(d) for d in rng.integers(1, 3, 2)]
    spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    pads = [int(p) for p in rng.integers(0, 3, 4)]
    pads[2] += max(0, spans[0] - H - pads[0] - pads[2])
    pads[3] += max(0, spans[1] - W - pads[1] - pads[3])
    strides = tuple(int(s) for s in rng.integers(1, 3, 2))
    return (C, strides, tuple(pads), tuple(dilations), groups), kernel, outputs


def draw_attributes(
    rng: np.random.Generator, geometry: tuple[Any, ...], *, general: bool
) -> BinaryConv2dAttributes | GeneralBinaryConv2dAttributes:
    """Draws what a layer's geometry leaves open."""
    if not general:
        return BinaryConv2dAttributes(
            *geometry,
            str(rng.choice(["sample_mean", "zero"])),
            str(rng.choice(["none", "hardtanh", "relu"])),
        )
    return GeneralBinaryConv2dAttributes(
        *geometry,
        str(rng.choice(["sample_mean", "zero", "per_channel"])),
        str(rng.choice(["none", "hardtanh", "relu", "prelu"])),
        str(rng.choice(["before_activation", "after_activation"])),
        int(rng.integers(-1, 2)),
    )


def draw_extras(
    rng: np.random.Generator,
    attributes: GeneralBinaryConv2dAttributes,
    kernel: list[int],
    outputs: int,
    tensor: Callable[[np.ndarray], str],
) -> list[str]:
    """Draws T, window_sum, neg, pos, post and border: absent, of one element, or whole."""
    slopes, thresholds = attributes.activation == "prelu", attributes.threshold == "per_channel"

    def extra(shape: tuple[int, ...], *, read: bool, needed: bool = False) -> str:
        if not needed and rng.random() < 0.4:
            return ""
        whole = read and rng.random() < 0.7
        return tensor(rng.standard_normal(shape if whole else (1,), np.float32))

    return [
        extra((attributes.channels,), read=thresholds, needed=thresholds),
        extra((outputs,), read=True),
        extra((outputs,), read=slopes, needed=slopes),
        *(extra((outputs,), read=slopes) for _ in range(2)),
        extra((*kernel, outputs), read=True),
    ]


def draw_network(rng: np.random.Generator) -> onnx.ModelProto:
    """Draws a stem, then binary layers of any geometry, some with residuals and steps between them."""
    shapes: dict[str, tuple[int, int, int]] = {}  # of every channels-last value: (H, W, C)
    nodes, tensors = [], []

    def tensor(values: np.ndarray) -> str:
        tensors.append(numpy_helper.from_array(values, f"t{len(tensors)}"))
        return tensors[-1].name

    def node(op: str, inputs: list[str], shape: tuple[int, int, int], **attributes: object) -> str:
        name = f"{op}.{len(nodes)}"
        domain = DOMAIN if op in OPERATORS else ""
        nodes.append(helper.make_node(op, inputs, [name], name=name, domain=domain, **attributes))
        shapes[name] = shape
        return name

    channels, H, W = (int(rng.integers(1, n)) for n in (5, 13, 13))
    stem = int(rng.choice([1, 8, 9, 32, 33]))
    weights = tensor(rng.standard_normal((stem, channels, 3, 3), np.float32))
    x = node("Conv", ["input", weights], (H, W, stem), pads=[1] * 4)
    if rng.random() < 0.5:
        x = node("Relu", [x], (H, W, stem))
    x = node("Transpose", [x], (H, W, stem), perm=[0, 2, 3, 1])
    values = [x]
    for _ in range(int(rng.integers(1, 6))):
        x = values[-1] if rng.random() < 0.8 else values[int(rng.integers(len(values)))]
        H, W, C = shapes[x]
        geometry, kernel, outputs = draw_geometry(rng, (H, W, C))
        general = rng.random() < 0.5
        attributes = draw_attributes(rng, geometry, general=general)
        size = (*attributes.output_size((H, W), tuple(kernel)), outputs)
        bits = rng.integers(0, 2, (outputs, *kernel, attributes.group_channels)).astype(bool)
        same = [value for value in values if shapes[value] == size]
        residual = tensor(rng.standard_normal(1, np.float32))
        if same and rng.random() < 0.8:
            residual = same[int(rng.integers(len(same)))]
        inputs = [x, tensor(np.packbits(bits, axis=-1, bitorder="little"))]
        inputs += [tensor(rng.standard_normal(outputs, np.float32) / 4) for _ in range(2)]
        inputs.append(residual)
        if general:
            inputs += draw_extras(rng, attributes, kernel, outputs, tensor)
        values.append(node(attributes.operator, inputs, size, **attributes.to_dict()))
        if rng.random() < 0.3:
            values.append(node("Mul", [values[-1], tensor(rng.standard_normal(outputs, np.float32))], size))
    x = values[-1]
    H, W, C = shapes[x]
    x = node("ReduceMean", [x, tensor(np.array([1, 2]))], (1, 1, C), keepdims=0)
    if len(values) > 2 and rng.random() < 0.5:  # keeps an early value alive to the end
        early = node("ReduceMax", [values[0], tensor(np.array([1, 2]))], (1, 1, stem), keepdims=0)
        x = node("Concat", [x, early], (1, 1, C + stem), axis=1)
    graph = helper.make_graph(
        nodes,
        "random",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", channels, *shapes[values[0]][:2]])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)],
        tensors,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)
