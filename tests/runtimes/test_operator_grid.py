"""BinaryConv2d: the oracle, the NumPy backend and every kernel of this host agree bit for bit."""

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.operator_cases import (
    FACTORS,
    Case,
    banded_cases,
    covering_cases,
    make_case,
    pairs_of,
    possible_pairs,
    random_cases,
)
from support.oracle import binary_conv2d as oracle
from support.oracle import mean, same_bits

from rbnn_deploy.operators import BINARY_CONV2D, BinaryConv2dAttributes
from rbnn_deploy.runtimes.library import library_info
from rbnn_deploy.runtimes.numpy_backend import binary_conv2d as arithmetic
from rbnn_deploy.runtimes.numpy_backend import threshold
from rbnn_deploy.runtimes.numpy_backend.binary_conv2d import binary_conv2d
from rbnn_deploy.runtimes.onnx_runtime import create_session
from rbnn_deploy.runtimes.operator_model import operator_model

CASES = (*covering_cases(), *random_cases(200), *banded_cases())


@cache
def expected(case: Case) -> np.ndarray:
    return oracle(**case.arrays(), **case.attributes.to_dict())


def run_numpy(case: Case) -> np.ndarray:
    arrays = case.arrays()
    R = arrays.pop("R")
    return binary_conv2d(**arrays, R=R, attributes=case.attributes)


def run_library(case: Case, threads: int, samples: slice = slice(None)) -> np.ndarray:
    arrays = case.arrays()
    X, R = arrays.pop("X"), arrays.pop("R")
    model = operator_model(**arrays, attributes=case.attributes, residual=R is not None)
    session = create_session(model.SerializeToString(), library=True, threads=threads)
    if R is None:
        return session.run(None, {"X": X[samples]})[0]
    return session.run(None, {"X": X[samples], "R": R if R.size == 1 else R[samples]})[0]


def test_every_pair_of_values_that_can_meet_does() -> None:
    covered = set().union(*(pairs_of(case.row) for case in covering_cases()))
    assert covered == possible_pairs()
    # The adjustment may take no value out of the design.
    singles = {item for pair in covered for item in pair}
    assert all((name, value) in singles for name, values in FACTORS.items() for value in values)


def test_cases_hold_what_their_names_say() -> None:
    ties, signs, nans, infinities = 0, set(), 0, 0
    for case in CASES:
        for sample in case.arrays()["X"]:
            if case.row["values"] == "ties":
                t = mean(sample) if case.attributes.threshold == "sample_mean" else 0
                ties += int((sample == t).sum())
                signs |= set(np.signbit(sample[sample == 0]).tolist())
            nans += int(np.isnan(sample).any())
            infinities += int(np.isinf(sample).any())
    assert ties > 10_000
    assert signs == {False, True}
    assert nans > 20
    assert infinities > 20
    results = np.concatenate([expected(case).ravel() for case in CASES])
    finite = np.isfinite(results)
    assert finite.mean() > 0.75  # the specials do not drown everything else


@pytest.mark.parametrize("case", CASES, ids=str)
def test_numpy_backend_equals_the_oracle(case: Case) -> None:
    assert same_bits(run_numpy(case), expected(case))


def test_banded_cases_need_more_than_one_band() -> None:
    budget = library_info()["limits"][BINARY_CONV2D]["window_budget"]
    for case in banded_cases():
        a, (kernel_rows, kernel_columns) = case.attributes, case.kernel
        (OH, OW) = a.output_size(case.row["map"], case.kernel)
        row_bytes = OW * kernel_columns * a.channels // 8
        # Each window whole, or each row of the padded map once.
        padded_rows = (OH - 1) * a.strides[0] + (kernel_rows - 1) * a.dilations[0] + 1
        assert min(OH * kernel_rows, padded_rows) * row_bytes > budget


def mean_in_another_order(X: np.ndarray) -> np.ndarray:
    return X.mean((1, 2, 3), dtype=np.float64).astype(np.float32)


def threshold_excluded(X: np.ndarray, rule: str) -> np.ndarray:
    return np.greater(X, threshold.thresholds(X, rule).reshape(-1, 1, 1, 1))


def fused_multiply_add(acc: np.ndarray, scale: np.ndarray, bias: np.ndarray, *rest: object) -> np.ndarray:
    y = (acc.astype(np.float64) * scale + bias).astype(np.float32)
    return FINISH(y, np.float32(1), np.float32(0), *rest)


def residual_left_out(
    acc: np.ndarray, scale: np.ndarray, bias: np.ndarray, r: np.ndarray, a: str
) -> np.ndarray:
    """Leaves -0.0 as it is, where an absent residual adds +0."""
    return FINISH(acc, scale, bias, np.float32([-0.0]) if r.size == 1 and r.ravel()[0] == 0 else r, a)


def subnormals_flushed(*arguments: object) -> np.ndarray:
    y = FINISH(*arguments)
    return np.where(np.abs(y) < np.finfo(np.float32).tiny, np.float32(0), y)


def edge_forgotten(offset: int, stride: int, extent: int, out: int) -> tuple[slice, slice]:
    """Misses the last output of a tap whose window ends inside the image."""
    outs, ins = INSIDE(offset, stride, extent, out)
    if offset <= 0 or outs.stop - outs.start < 2:
        return outs, ins
    return slice(outs.start, outs.stop - 1), slice(ins.start, ins.stop - stride, stride)


FINISH, INSIDE = arithmetic.finish, arithmetic.outputs_inside
FAULTS = [
    (threshold, "sample_means", mean_in_another_order),
    (arithmetic, "binarise", threshold_excluded),
    (arithmetic, "finish", fused_multiply_add),
    (arithmetic, "finish", residual_left_out),
    (arithmetic, "finish", subnormals_flushed),
    (arithmetic, "outputs_inside", edge_forgotten),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("module", "name", "fault"), FAULTS, ids=lambda value: getattr(value, "__name__", value)
)
def test_the_cases_find_a_fault(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, fault: object
) -> None:
    monkeypatch.setattr(module, name, fault)
    assert sum(not same_bits(run_numpy(case), expected(case)) for case in CASES) >= 3


def test_the_environment_variable_selects_the_kernel(kernel: str) -> None:
    assert library_info()["kernel"] == kernel


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel_equals_the_oracle(kernel: str, case: Case) -> None:
    for threads in (1, 2):
        assert same_bits(run_library(case, threads), expected(case)), f"{kernel}, {threads} threads"


@pytest.mark.parametrize("case", [case for case in CASES if case.row["batch"] == 3][:40], ids=str)
def test_a_batch_equals_its_samples_one_by_one(kernel: str, case: Case) -> None:
    singles = [run_library(case, 1, slice(n, n + 1)) for n in range(3)]
    assert same_bits(np.concatenate(singles), expected(case))


def test_bits_behind_the_last_channel_do_not_matter(kernel: str) -> None:
    X = np.random.default_rng(0).standard_normal((2, 4, 4, 37), dtype=np.float32)
    W = np.random.default_rng(1).integers(0, 256, (9, 3, 3, 5), dtype=np.uint8)
    clean = W & np.uint8([255, 255, 255, 255, 0b11111])
    assert (clean != W).any()
    ones = np.ones(9, np.float32)
    attributes = BinaryConv2dAttributes(37, pads=(1, 1, 1, 1))
    want = oracle(X, clean, ones, ones, None, **attributes.to_dict())
    assert same_bits(binary_conv2d(X, W, ones, ones, attributes=attributes), want)
    model = operator_model(W, ones, ones, attributes, residual=False)
    session = create_session(model.SerializeToString(), library=True, threads=1)
    assert same_bits(session.run(None, {"X": X})[0], want), kernel


@st.composite
def rows(draw: st.DrawFn) -> dict:
    """Any shapes, not only those of the design."""
    row = {name: draw(st.sampled_from(values)) for name, values in FACTORS.items()}
    small = st.integers(1, 4)
    return row | {
        "channels": draw(st.integers(1, 300)),
        "outputs": draw(st.integers(1, 40)),
        "groups": draw(st.integers(1, 4)),
        "kernel": draw(st.tuples(small, small)),
        "dilations": draw(st.tuples(small, small)),
        "strides": draw(st.tuples(small, small)),
        "pads": draw(st.tuples(*[st.integers(0, 5)] * 4)),
        "map": draw(st.tuples(st.integers(1, 12), st.integers(1, 12))),
        "batch": draw(st.integers(0, 3)),
    }


# All examples of one test run on one kernel, so its fixture need not be set up anew for each.
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(row=rows())
def test_any_shape(kernel: str, row: dict) -> None:
    case = make_case(row)
    assert same_bits(run_numpy(case), expected(case))
    assert same_bits(run_library(case, 2), expected(case)), kernel
