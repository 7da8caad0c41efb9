"""The C code of PackedBinaryConv2d, alone on its grid and in networks: NumPy's bits."""

import ctypes
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from support.bits_networks import NETWORKS, PACKED, build_bits, network
from support.c_kernels import GUARD, Windows, compile_kernels, guarded, pointer
from support.generated_c import COMPILERS, build, needs_compiler
from support.packed_cases import PackedCase, packed_cases

from rbnn_deploy.exporters.c.operators.binary_conv2d import pack_windows
from rbnn_deploy.operators import DOMAIN, DOMAIN_VERSION
from rbnn_deploy.runtimes.numpy_backend.packed_binary_conv2d import packed_binary_conv2d
from rbnn_deploy.runtimes.numpy_backend.runtime import NumpyRuntime


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
