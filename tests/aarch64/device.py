"""Runs on the emulated Arm64 machine: compares what it computes with files of `golden`; prints JSON.

usage: device.py operator CASES.npz | device.py network FOLDER | device.py exact FOLDER
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from support.oracle import same_bits

from rbnn_deploy.onnx_graph import binary_conv_attributes, constants, is_binary_conv
from rbnn_deploy.operators import BinaryConv2dAttributes
from rbnn_deploy.runtimes import load_model
from rbnn_deploy.runtimes.library import library_info
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import binary_conv2d
from rbnn_deploy.runtimes.onnx_runtime import create_session
from rbnn_deploy.runtimes.operator_model import operator_model

KERNELS = ("neon", "portable")


def run_library(kernel: str, attributes: BinaryConv2dAttributes, arrays: dict[str, np.ndarray]) -> np.ndarray:
    os.environ["RBNN_KERNEL"] = kernel
    constants = {name: arrays[name] for name in ("W", "scale", "bias")}
    model = operator_model(**constants, attributes=attributes, residual="R" in arrays)
    session = create_session(model.SerializeToString(), library=True, threads=2)
    return session.run(None, {name: arrays[name] for name in ("X", "R") if name in arrays})[0]


def compare(
    attributes: BinaryConv2dAttributes, arrays: dict[str, np.ndarray], expected: np.ndarray
) -> list[str]:
    """Returns the names of the backends whose bits differ from the expected ones."""
    found = {kernel: run_library(kernel, attributes, arrays) for kernel in KERNELS}
    found["numpy"] = binary_conv2d(**({"R": None} | arrays), attributes=attributes)
    return [name for name, y in found.items() if not same_bits(y, expected)]


def operator(path: Path) -> dict[str, Any]:
    with np.load(path) as tensors:
        cases = json.loads(str(tensors["cases"]))
        differ = {}
        for index, description in enumerate(cases):
            arrays = {
                name: tensors[f"{index}.{name}"]
                for name in ("X", "W", "scale", "bias", "R", "Y")
                if f"{index}.{name}" in tensors
            }
            attributes = BinaryConv2dAttributes.from_mapping(description)
            backends = compare(attributes, arrays, arrays.pop("Y"))
            if backends:
                differ[f"{index}: {description}"] = backends
    return {"cases": len(cases), "differ": differ}


def network(folder: Path) -> dict[str, Any]:
    model = onnx.load(folder / "network.onnx")
    stored = constants(model.graph)
    layers = [node for node in model.graph.node if is_binary_conv(node)]
    with np.load(folder / "network.npz") as x86:
        differ = {}
        for node in layers:  # each layer by itself, from what x86 gave it
            tensors = dict(zip(("X", "W", "scale", "bias", "R"), node.input, strict=False))
            arrays = {
                name: stored[tensor] if tensor in stored else x86[tensor]
                for name, tensor in tensors.items()
                if tensor
            }
            backends = compare(binary_conv_attributes(node), arrays, x86[node.output[0]])
            if backends:
                differ[node.name] = backends

        os.environ["RBNN_KERNEL"] = ""
        runtime = load_model(folder / "network.onnx", "ort", threads=2)
        images, expected = x86["input images"], x86["logits of x86"]
        logits = runtime.run(images)
        outputs = runtime.run_with(images, [node.output[0] for node in layers])
        return {
            "layers": len(layers),
            "images": len(images),
            "differ": differ,
            "top1": int((logits.argmax(1) == expected.argmax(1)).sum()),
            "logits_max_abs_diff": float(np.abs(logits - expected).max()),
            # End to end the float stem may round otherwise; for the record, not for a test.
            "layers_identical_end_to_end": sum(same_bits(y, x86[name]) for name, y in outputs.items()),
        }


def exact(folder: Path) -> dict[str, Any]:
    path = folder / "exact.onnx"
    with np.load(folder / "exact.npz") as x86:
        images, want = x86["images"], x86["logits"]
    differ = []
    for name, kernel, threads in (
        *(("ort", "", threads) for threads in (1, 2, 3)),
        ("ort", "portable", 1),
        ("numpy", "", None),
    ):
        os.environ["RBNN_KERNEL"] = kernel
        runtime = load_model(path, name, threads=threads)
        one_by_one = np.concatenate([runtime.run(image[None]) for image in images])
        if not (np.array_equal(runtime.run(images), want) and np.array_equal(one_by_one, want)):
            differ.append([name, kernel, threads])
    return {"images": len(images), "differ": differ}


if __name__ == "__main__":
    # Before a kernel is forced: which one the library selects here.
    machine = {"kernel": library_info()["kernel"], "machine": os.uname().machine}
    asked = {"operator": operator, "network": network, "exact": exact}
    result = asked[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps(machine | result))
