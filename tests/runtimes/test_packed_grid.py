"""PackedBinaryConv2d, PackSigns and UnpackSigns: oracle, NumPy backend, function and every kernel agree."""

from functools import cache

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from support.nodes import operator_model_of, run_operator
from support.operator_cases import banded_cases
from support.packed_cases import PackedCase, packed_cases, packed_oracle, with_any_tail

from rbnn_deploy.exporters.onnx.packed_functions import (
    pack_signs_function,
    packed_binary_conv2d_function,
    unpack_signs_function,
)
from rbnn_deploy.operators import PackedBinaryConv2dAttributes
from rbnn_deploy.runtimes.library import library_info
from rbnn_deploy.runtimes.numpy_backend import packed_binary_conv2d as arithmetic
from rbnn_deploy.runtimes.numpy_backend.packed_binary_conv2d import (
    pack_signs_of_map,
    packed_binary_conv2d,
    unpack_signs_of_map,
)

BANDED = tuple(PackedCase(case, 0, (3, 2), "around the sums") for case in banded_cases())
CASES = (*packed_cases(300), *BANDED)
CHANNELS = (1, 3, 8, 31, 32, 33, 64, 65, 1100)


@cache
def expected(case: PackedCase) -> np.ndarray:
    return packed_oracle(case.arrays(), case.attributes)


def run_numpy(case: PackedCase) -> np.ndarray:
    return packed_binary_conv2d(**case.arrays(), attributes=case.attributes)


def same(got: np.ndarray, want: np.ndarray) -> bool:
    return got.dtype == want.dtype and got.shape == want.shape and bool((got == want).all())


def test_bits_of_both_kinds_occur() -> None:
    share = np.mean([np.unpackbits(expected(case)).mean() for case in CASES if expected(case).size])
    assert 0.2 < share < 0.8


@pytest.mark.parametrize("case", CASES, ids=str)
def test_numpy_backend_equals_the_oracle(case: PackedCase) -> None:
    assert same(run_numpy(case), expected(case))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel_equals_the_oracle(kernel: str, case: PackedCase) -> None:
    assert library_info()["kernel"] == kernel
    for threads in (1, 2):
        y = run_operator("PackedBinaryConv2d", case.arrays(), case.attributes.to_dict(), threads=threads)
        assert same(y, expected(case)), f"{kernel}, {threads} threads"


@pytest.mark.parametrize("case", CASES[:60], ids=str)
@pytest.mark.parametrize("engine", ["onnxruntime", "onnx"])
def test_function_equals_the_oracle(engine: str, case: PackedCase) -> None:
    call = ("PackedBinaryConv2d", case.arrays(), case.attributes.to_dict())
    functions = [packed_binary_conv2d_function()]
    if engine == "onnx":
        if not len(case.arrays()["X"]):
            pytest.skip("onnx's evaluator cannot pool an empty batch")
        feeds = {name: value for name, value in case.arrays().items() if name != "W"}
        (y,) = ReferenceEvaluator(operator_model_of(*call, functions=functions)).run(None, feeds)
    else:
        y = run_operator(*call, library=False, functions=functions)
    assert same(y, expected(case))


def test_the_cases_find_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(attributes: PackedBinaryConv2dAttributes) -> int:
        return -attributes.pad_value

    right = arithmetic.accumulate
    monkeypatch.setattr(
        arithmetic, "accumulate", lambda *given: right(*given[:-2], given[-2], wrong(given[-2]))
    )
    assert sum(not same(run_numpy(case), expected(case)) for case in CASES) >= 3


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("rule", ["one", "each", "nan"])
def test_signs(kernel: str, rule: str, channels: int) -> None:
    assert library_info()["kernel"] == kernel
    rng = np.random.default_rng(channels)
    for batch in (0, 2):
        X = rng.choice(np.float32([-1, -0.0, 0, 1e-45, 0.5, np.nan, np.inf]), (batch, 3, 5, channels))
        T = {
            "one": np.float32([[0.0]]),
            "each": rng.choice(np.float32([-0.0, 0, 0.5, 1e-45]), channels),
            "nan": np.full(channels, np.nan, np.float32),
        }[rule]
        want = np.packbits(T.ravel() <= X, axis=-1, bitorder="little")
        assert same(pack_signs_of_map(X, T), want)
        assert same(run_operator("PackSigns", {"X": X, "T": T}, {}), want)
        if batch:  # subnormal numbers are zeros to the other kernels of ONNX Runtime's on some hosts
            functions = [pack_signs_function()]
            assert same(
                run_operator("PackSigns", {"X": X, "T": T}, {}, library=False, functions=functions), want
            )

        bits = with_any_tail(rng, want.copy(), channels)
        signs = np.where(T.ravel() <= X, np.float32(1), np.float32(-1))
        call = ("UnpackSigns", {"X": bits}, {"channels": channels})
        assert same(unpack_signs_of_map(bits, channels), signs)
        assert same(run_operator(*call), signs)
        assert same(run_operator(*call, library=False, functions=[unpack_signs_function()]), signs)
