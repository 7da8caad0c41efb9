"""What this machine computes, written to files that the emulated Arm64 machine compares with."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from support.networks import randomise
from support.operator_cases import covering_cases
from support.oracle import binary_conv2d as oracle
from support.oracle import same_bits

from rbnn_deploy.exporters.onnx import export_onnx
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.operators import BINARY_CONV2D, BinaryConv2dAttributes
from rbnn_deploy.pytorch.networks.registry import ARCHITECTURES
from rbnn_deploy.runtimes import load_model
from rbnn_deploy.runtimes.onnx_runtime import create_session
from rbnn_deploy.runtimes.operator_model import operator_model
from rbnn_deploy.runtimes.value_histograms import value_histograms

IMAGES, EXACT_IMAGES = 32, 7
ARCHITECTURE = "cifar10/resnet20_1w1a"
Arrays = dict[str, np.ndarray | None]


def limit_cases() -> list[tuple[BinaryConv2dAttributes, Arrays]]:
    """Makes cases in which all bits differ, or all agree, around the NEON kernel's limits.

    A byte counts at most 31 triples of words (2976 bits), the buffer of windows holds 62 (5952 bits).
    """
    cases = []
    rng = np.random.default_rng(0)
    for bits in (2976, 5952):
        for channels in (bits - 96, bits - 1, bits, bits + 1, bits + 96, 2 * bits + 1):
            # Nine outputs and five pixels: a whole panel and tile, and one behind each.
            x = np.ones((1, 1, 5, channels), np.float32)
            x[:, :, 3] = rng.standard_normal(channels)
            weights = np.zeros((9, 1, 1, channels), bool)
            weights[1] = True
            weights[2:] = rng.random((7, 1, 1, channels)) < 0.5
            arrays: Arrays = {
                "X": x,
                "W": np.packbits(weights, axis=-1, bitorder="little"),
                "scale": np.ones(9, np.float32),
                "bias": np.zeros(9, np.float32),
                "R": None,
            }
            cases.append((BinaryConv2dAttributes(channels, threshold="zero"), arrays))
    return cases


def zero_cases() -> list[tuple[BinaryConv2dAttributes, Arrays]]:
    """Makes cases whose values are -0.0 before the activation, which every activation passes."""
    cases = []
    for activation in ("none", "hardtanh", "relu"):
        for outputs in (8, 9):
            zeros = np.full(outputs, -0.0, np.float32)
            arrays: Arrays = {
                "X": np.ones((1, 2, 2, 3), np.float32),
                "W": np.zeros((outputs, 1, 1, 1), np.uint8),  # all -1: acc is -3, and -3 times 0 is -0.0
                "scale": np.zeros(outputs, np.float32),
                "bias": zeros,
                "R": np.broadcast_to(zeros, (1, 2, 2, outputs)).copy(),
            }
            cases.append((BinaryConv2dAttributes(3, threshold="zero", activation=activation), arrays))
    return cases


def write_operator_cases(path: Path) -> int:
    """Writes cases of BinaryConv2d with the output that the oracle and this machine's best kernel give.

    Returns:
        How many there are.
    """
    cases = [(case.attributes, case.arrays()) for case in covering_cases()]
    cases += limit_cases() + zero_cases()
    tensors, descriptions = {}, []
    for index, (attributes, arrays) in enumerate(cases):
        expected = oracle(**arrays, **attributes.to_dict())
        inputs = {name: arrays[name] for name in ("X", "R") if arrays[name] is not None}
        constants = {name: arrays[name] for name in ("W", "scale", "bias")}
        model = operator_model(**constants, attributes=attributes, residual="R" in inputs)
        (found,) = create_session(model.SerializeToString(), library=True, threads=1).run(None, inputs)
        assert same_bits(found, expected), attributes
        given = {name: array for name, array in arrays.items() if array is not None}
        tensors |= {f"{index}.{name}": array for name, array in (given | {"Y": expected}).items()}
        descriptions.append(attributes.to_dict())
    np.savez(path, cases=json.dumps(descriptions), **tensors)
    return len(cases)


def write_network(folder: Path) -> tuple[int, int]:
    """Exports a reference network and writes what flows through it for some images.

    Returns:
        How many binary layers it has, and how many images.
    """
    architecture = ARCHITECTURES[ARCHITECTURE]
    family = architecture.family
    network = randomise(architecture.builder(family.num_classes), seed=0)
    metadata = ModelMetadata(
        ARCHITECTURE, family.input_shape, family.num_classes, family.mean, family.std, family.resize
    )
    path = folder / "network.onnx"
    export_onnx(network, path, metadata)
    x = np.random.default_rng(0).standard_normal((IMAGES, *family.input_shape), dtype=np.float32)
    model = onnx.load(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type == BINARY_CONV2D]
    names = {name for node in layers for name in (node.input[0], *node.input[4:], node.output[0]) if name}
    runtime = load_model(path, "ort", threads=1)
    traced = runtime.run_with(x, sorted(names - constants))
    np.savez(folder / "network.npz", **traced, **{"input images": x, "logits of x86": runtime.run(x)})
    return len(layers), IMAGES


def write_exact_network(folder: Path) -> int:
    """Exports a network whose float layers are exact, and writes its logits of some images.

    Returns:
        How many images there are.
    """
    architecture = ARCHITECTURES[ARCHITECTURE]
    family = architecture.family
    network = randomise(architecture.builder(family.num_classes), seed=0)
    x = np.random.default_rng(0).standard_normal((EXACT_IMAGES, *family.input_shape), dtype=np.float32)
    path = folder / "exact.onnx"
    metadata = ModelMetadata(ARCHITECTURE, family.input_shape)
    export_onnx(network, path, metadata, measure=partial(value_histograms, batches=[x[:2]]))
    np.savez(folder / "exact.npz", images=x, logits=load_model(path, threads=1).run(x))
    return EXACT_IMAGES
