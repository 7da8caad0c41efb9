"""QuantConv2d in C: the bits of the NumPy backend, alone and in a network."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from support.generated_c import COMPILERS, build, needs_compiler
from support.oracle import same_bits
from support.quant_cases import QuantCase, make_quant_case, quant_cases
from support.quant_network import Arrays, model_of, node, quant_network

from rbnn_deploy.exporters.c.text import KERNELS
from rbnn_deploy.operators import (
    QUANT_CONV2D,
    QuantConv2dAttributes,
)
from rbnn_deploy.runtimes.numpy_backend.quant_conv2d import quant_conv2d
from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime

pytestmark = needs_compiler


def model_of_case(case: QuantCase) -> tuple[onnx.ModelProto, np.ndarray]:
    """A model of one node, and its input, channels-first."""
    values = case.arrays()
    x = values.pop("X")
    stored: dict[str, np.ndarray] = {}
    layer = node(case.attributes, "x", "y", stored, values)
    nodes = [layer]
    if case.attributes.layout == "channels_last":
        x = np.ascontiguousarray(np.moveaxis(x, 3, 1))
        layer.input[0] = "last"
        nodes = [helper.make_node("Transpose", ["x"], ["last"], perm=[0, 2, 3, 1]), layer]
    return model_of(nodes, x.shape[1:], "y", stored), x


def one_sample(case: QuantCase) -> QuantCase:
    return make_quant_case(dict(case.row) | {"batch": 1})


CASES = [one_sample(case) for case in quant_cases(60, seed=5)]
# A factor of 4 makes halves of the eighths among normal values.
CASES += [make_quant_case(dict(case.row) | {"values": "normal", "factor": 4.0}) for case in CASES[:4]]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_layer(case: QuantCase, tmp_path: Path) -> None:
    proto, x = model_of_case(case)
    (y, _) = build(proto, tmp_path).run(x[0])
    want = quant_conv2d(**case.arrays(), attributes=case.attributes)
    assert same_bits(y, want.ravel())


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_compiler_gives_the_same_bits(compiler: tuple[str, ...], tmp_path: Path) -> None:
    row = dict(quant_cases(1)[0].row) | {
        "channels": 17, "outputs": 9, "groups": 2, "kernel": (3, 3), "dilations": (1, 1), "strides": (1, 1),
        "pads": (1, 1, 1, 1), "map": (12, 9), "batch": 1, "layout": "channels_first", "range": (-128, 127),
        "mean": ((3, 2), (1, 2)), "pool": ((3, 3), (2, 2), (1, 1, 1, 1)), "activation": "none",
        "residual": "full", "values": "normal", "affine": "normal", "factor": 33.3,
    }  # fmt: skip
    case = make_quant_case(row)
    proto, x = model_of_case(case)
    (y, _) = build(proto, tmp_path, compiler).run(x[0])
    assert same_bits(y, quant_conv2d(**case.arrays(), attributes=case.attributes).ravel())


def test_the_largest_sums_wrap_around_and_come_back(tmp_path: Path) -> None:
    # Bytes up to 255 stand for integers up to 128: their sum exceeds int32, that of the integers does not.
    channels = (2**31 - 1) // (128 * 128)
    attributes = QuantConv2dAttributes(channels, layout="channels_first", low=-127, high=128)
    values: Arrays = {
        "W": np.stack([np.full((1, 1, channels), sign, np.int8) for sign in (-128, 127)]),
        "scale": np.ones(2, np.float32),
        "bias": np.zeros(2, np.float32),
        "factor": np.ones(1, np.float32),
    }
    stored: dict[str, np.ndarray] = {}
    proto = model_of([node(attributes, "x", "y", stored, values)], (channels, 1, 1), "y", stored)
    (y, _) = build(proto, tmp_path).run(np.full((channels, 1, 1), 500, np.float32))
    assert y.tolist() == [float(np.float32(128 * sign * channels)) for sign in (-128, 127)]


def test_a_network_value_by_value(tmp_path: Path) -> None:
    model = build(quant_network(), tmp_path)
    runtime = NumpyRuntime(tmp_path / "model.onnx", in_order=True)
    names = ["stem", "shortcut", "binary", "wide", "head", "logits"]
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal((1, 3, 31, 29), np.float32)
        want = runtime.run_with({"x": x}, names)
        y, values = model.run(x[0])
        assert same_bits(y, want["logits"].ravel())
        assert len(np.unique(y)) == 10
        for name in names[:-1]:
            assert same_bits(values[name], want[name].ravel()), name


def test_weights_take_a_byte_each(tmp_path: Path) -> None:
    result = build(quant_network(), tmp_path).result
    layers = {"stem": (24, 7 * 7 * 3), "shortcut": (40, 24), "wide": (40, 360), "head": (10, 40)}
    binary = 40 * 4 * (math.ceil(3 * 3 * 24 / 32) + 2)
    one_zero = 4  # the residual of layers without one
    assert result.weight_bytes == one_zero + binary + sum(
        outputs * (products + 4 * 3) for outputs, products in layers.values()
    )


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("quantise", "v > low ? v : low", "v < low ? low : v"),
        ("quantise", "(between + shift) - shift", "(float)(int)(between + 300.5f) - 300.0f + 0.0f * shift"),
        ("quant_conv2d", "(uint8_t)l->zero", "0"),
        ("finish", "y = y + bias;\n  y = y + residual", "y = y + (bias + residual)"),
        ("pool_of_largest", "from[c] > y[c] ?", "!(from[c] <= y[c]) ?"),
    ],
)
def test_the_cases_find_a_fault(
    file: str, right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = tmp_path / "kernels"
    faulty.mkdir()
    for path in KERNELS.glob("*.h"):
        text = path.read_text()
        if path.stem == file:
            assert right in text
            text = text.replace(right, wrong)
        (faulty / path.name).write_text(text)
    monkeypatch.setattr("rbnn_deploy.exporters.c.text.KERNELS", faulty)
    found = 0
    for number, case in enumerate(CASES):
        folder = tmp_path / str(number)
        folder.mkdir()
        proto, x = model_of_case(case)
        y, _ = build(proto, folder).run(x[0])
        found += not same_bits(y, quant_conv2d(**case.arrays(), attributes=case.attributes).ravel())
        if found:
            return
    raise AssertionError(f"no case finds {wrong!r}")


def test_computed_weights_have_no_c(tmp_path: Path) -> None:
    case = one_sample(quant_cases(1)[0])
    proto, _ = model_of_case(case)
    for tensor in list(proto.graph.initializer):
        if tensor.name == "y.factor":
            proto.graph.initializer.remove(tensor)
    proto.graph.node.insert(0, helper.make_node("ReduceMax", ["x"], ["y.factor"], keepdims=0))
    with pytest.raises(Exception, match=f"{QUANT_CONV2D}.*needs 'y.factor' as a constant of the file"):
        build(proto, tmp_path)
