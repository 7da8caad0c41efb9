"""The C code of PackedBinaryConv2d, alone on its grid and in networks: NumPy's bits."""

import ctypes
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from support.bits_networks import NETWORKS, PACKED, SIZE, Shift, build_bits, conv, network, norm, pooled
from support.c_kernels import GUARD, Windows, compile_kernels, guarded, pointer
from support.generated_c import COMPILERS, build, needs_compiler, write_c
from support.packed_cases import PackedCase, packed_cases
from torch import Tensor, nn

from rbnn_deploy.errors import UserError
from rbnn_deploy.exporters.c.operators.binary_conv2d import pack_windows
from rbnn_deploy.exporters.onnx import export_onnx
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.operators import DOMAIN, DOMAIN_VERSION, PACKED_BINARY_CONV2D
from rbnn_deploy.runtimes.numpy_backend.packed_binary_conv2d import packed_binary_conv2d
from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime
from rbnn_deploy.runtimes.value_histograms import value_histograms


class Layer(ctypes.Structure):
    _fields_ = [
        ("windows", Windows),
        *((name, ctypes.c_int) for name in ("pad_value", "pool_height", "pool_width", "reader_groups")),
        *((name, ctypes.c_void_p) for name in ("weights", "thresholds")),
    ]


SOURCE = """
void layer(const struct packed_binary_conv2d* l, const float* x, float* y, uint32_t* bits, uint32_t* packed,
           uint32_t* window);
void layer(const struct packed_binary_conv2d* l, const float* x, float* y, uint32_t* bits, uint32_t* packed,
           uint32_t* window) {
  const struct binary_windows* w = &l->windows;
  pack_signs(x, 0.0f, w->height, w->width, w->channels, w->groups, bits);
  packed_binary_conv2d(l, bits, packed, window);
  unpack_signs(packed, w->out_height / l->pool_height, w->out_width / l->pool_width, w->outputs,
               l->reader_groups, y);
}
"""


@pytest.fixture(scope="module", params=COMPILERS, ids=" ".join)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder: Path = tmp_path_factory.mktemp("kernel")
    kernels = ("pack_signs", "packed_binary_conv2d", "unpack_signs")
    return compile_kernels(kernels, SOURCE, folder, request.param)


def run(library: ctypes.CDLL, case: PackedCase, reader_groups: int) -> np.ndarray:
    """Returns the outputs' signs, float32 [N, PH, PW, O]."""
    arrays, a, outputs = case.arrays(), case.attributes, case.base.outputs
    words = pack_windows(arrays["W"], a.group_channels)
    windows = Windows.of(case.base, words)
    thresholds = np.ascontiguousarray(arrays["T"])
    layer = Layer(windows, a.pad_value, *a.pool, reader_groups, words.ctypes.data, thresholds.ctypes.data)
    X = np.unpackbits(arrays["X"], axis=-1, count=a.channels, bitorder="little").astype(np.float32) * 2 - 1
    PH, PW = (size // pool for size, pool in zip(windows.out_size, a.pool, strict=True))
    Y = np.full((len(X), PH, PW, outputs), np.nan, np.float32)
    bits = guarded(windows.bit_words)
    packed = guarded(reader_groups * PH * -(-PW * (outputs // reader_groups) // 32))
    window = guarded(2 * windows.words + -(-outputs // 32))
    for x, y in zip(X, Y, strict=True):
        given = (
            pointer(np.ascontiguousarray(x)),
            pointer(y),
            pointer(bits),
            pointer(packed),
            pointer(window),
        )
        library.layer(ctypes.byref(layer), *given)
        assert bits[-1] == packed[-1] == window[-1] == GUARD
    return Y


def test_grid(library: ctypes.CDLL) -> None:
    seen: Counter[int] = Counter()
    for index, case in enumerate(packed_cases(300)):
        outputs = case.base.outputs
        divisors = [count for count in range(1, outputs + 1) if outputs % count == 0]
        groups = divisors[index % len(divisors)]
        seen[groups] += 1
        Y = packed_binary_conv2d(**case.arrays(), attributes=case.attributes)
        want = np.unpackbits(Y, axis=-1, count=outputs, bitorder="little").astype(np.float32) * 2 - 1
        assert np.array_equal(run(library, case, groups), want), str(case)
    assert len(seen) > 3


@needs_compiler
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_numpys_logits(name: str, tmp_path: Path) -> None:
    torch.manual_seed(len(name))
    proto = build_bits(network(NETWORKS[name]())).model
    model = build(proto, tmp_path, ("cc", "-O2"))
    steps = Counter(step.kernel for step in model.result.program.steps)
    assert steps["packed_binary_conv2d"] == PACKED[name]
    assert steps["pack_signs"] + steps["pack_signs_per_channel"] == 1
    assert not steps["unpack_signs"]
    x = np.random.default_rng(3).standard_normal((3, *model.result.program.input_shape), np.float32)
    want = NumpyRuntime(tmp_path / "model.onnx", in_order=True).run(x)
    for image, logits in zip(x, want, strict=True):
        assert np.array_equal(model.run(image)[0], logits)


@needs_compiler
def test_bits_that_are_read_as_numbers(tmp_path: Path) -> None:
    """No layer of ours reads them so; a file that does is not refused."""
    T = np.linspace(-1, 1, 5, dtype=np.float32)
    nodes = [
        helper.make_node("Transpose", ["input"], ["rows"], perm=[0, 2, 3, 1]),
        helper.make_node("PackSigns", ["rows", "T"], ["bits"], "pack", domain=DOMAIN),
        helper.make_node("UnpackSigns", ["bits"], ["signs"], "unpack", domain=DOMAIN, channels=5),
        helper.make_node("Mul", ["signs", "rows"], ["product"]),
        helper.make_node("Flatten", ["product"], ["output"]),
    ]
    proto = helper.make_model(
        helper.make_graph(
            nodes,
            "signs",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 5, 4, 7])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", 140])],
            [numpy_helper.from_array(T, "T")],
        ),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)],
        ir_version=8,
    )
    model = build(proto, tmp_path)
    x = np.random.default_rng(0).standard_normal((5, 4, 7), np.float32)
    rows = x.transpose(1, 2, 0)
    assert np.array_equal(model.run(x)[0], (np.where(rows >= T, 1, -1) * rows).ravel())


def chain(maker: int, channels: int) -> onnx.ModelProto:
    """A layer of bits whose reader takes so many of its channels."""
    rng = np.random.default_rng(2)
    weights = {
        "W": rng.integers(0, 256, (maker, 3, 3, 1), np.uint8),
        "T": np.zeros(maker, np.int32),
        "V": rng.integers(0, 256, (8, 1, 1, -(-channels // 8)), np.uint8),
        "U": np.zeros(8, np.int32),
        "limit": np.zeros(1, np.float32),
    }

    def packed(name: str, inputs: list[str], output: str, count: int) -> onnx.NodeProto:
        geometry = {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "groups": 1}
        own = {"channels": count, "pad_value": 0, "pool": [1, 1]}
        op = PACKED_BINARY_CONV2D
        return helper.make_node(op, inputs, [output], name, domain=DOMAIN, **geometry, **own)

    nodes = [
        helper.make_node("Transpose", ["input"], ["rows"], perm=[0, 2, 3, 1]),
        helper.make_node("PackSigns", ["rows", "limit"], ["bits"], "pack", domain=DOMAIN),
        packed("first", ["bits", "W", "T"], "between", 8),
        packed("second", ["between", "V", "U"], "last", channels),
        helper.make_node("UnpackSigns", ["last"], ["signs"], "unpack", domain=DOMAIN, channels=8),
        helper.make_node("Flatten", ["signs"], ["output"]),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "chain",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 8, 5, 5])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", 72])],
            [numpy_helper.from_array(values, name) for name, values in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)],
        ir_version=8,
    )


@needs_compiler
def test_a_reader_of_other_channels_is_refused(tmp_path: Path) -> None:
    model = build(chain(16, 16), tmp_path)
    x = np.random.default_rng(0).standard_normal((8, 5, 5), np.float32)
    want = NumpyRuntime(tmp_path / "model.onnx", in_order=True).run(x[None])
    assert np.array_equal(model.run(x)[0], want[0])
    for maker, channels in ((16, 9), (33, 40), (9, 16)):
        sentence = f"'second'.*reads {channels} channels of 'between', which has {maker}"
        with pytest.raises(UserError, match=sentence):
            write_c(chain(maker, channels), tmp_path)


def test_bits_from_another_node_are_refused(tmp_path: Path) -> None:
    proto = chain(16, 16)
    proto.graph.node[2].output[0] = "before"
    proto.graph.node.insert(3, helper.make_node("Identity", ["before"], ["between"], name="same"))
    with pytest.raises(UserError, match="computes with 'before'"):
        write_c(proto, tmp_path)


def test_floats_that_are_read_as_bits_are_refused(tmp_path: Path) -> None:
    proto = chain(16, 16)
    proto.graph.node[2].input[0] = "rows"
    with pytest.raises(UserError, match=r"'first'.*reads 'rows' as bits"):
        write_c(proto, tmp_path)


@needs_compiler
def test_one_map_is_packed_once_for_layers_of_both_kinds(tmp_path: Path) -> None:
    torch.manual_seed(3)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = conv(16, 16), conv(16, 16), conv(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            return self.second(nn.functional.hardtanh(self.first(x))) + self.third(x)  # type: ignore[no-any-return]

    proto = build_bits(network([Both()])).model
    model = build(proto, tmp_path)
    kernels = Counter(step.kernel for step in model.result.program.steps)
    assert (kernels["packed_binary_conv2d"], kernels["pack_signs"]) == (1, 1)
    x = np.random.default_rng(3).standard_normal(model.result.program.input_shape, np.float32)
    want = NumpyRuntime(tmp_path / "model.onnx", in_order=True).run(x[None])
    assert np.array_equal(model.run(x)[0], want[0])


@needs_compiler
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("bits", [False, True])
def test_a_map_of_which_only_bits_are_wanted_needs_a_row(bits: bool, shifted: bool, tmp_path: Path) -> None:
    torch.manual_seed(4)
    between = [Shift(16)] if shifted else []
    module = network([*between, *pooled(16, 24, norm(24), nn.Hardtanh()), conv(24, 16)])
    x = np.random.default_rng(3).standard_normal((3, 3, SIZE, SIZE), np.float32)
    path = tmp_path / "model.onnx"
    export_onnx(
        module,
        path,
        ModelMetadata("bits", (3, SIZE, SIZE)),
        measure=partial(value_histograms, batches=[x]),
        bits_between_layers=bits,
    )
    model = build(path, tmp_path)
    stem = next(step for step in model.result.program.steps if step.kernel == "quant_conv2d")
    assert [b.count for b in stem.writes if b.element == "float"] == [SIZE * 16]  # a row
    want = NumpyRuntime(path, in_order=True).run(x)
    for image, logits in zip(x, want, strict=True):
        assert np.array_equal(model.run(image)[0], logits)
