"""QuantConv2d: the oracle and the NumPy backend agree bit for bit."""

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from support.oracle import same_bits
from support.quant_cases import FACTORS, QuantCase, make_quant_case, quant_cases, quant_rows
from support.quant_oracle import quant_conv2d as oracle

from rbnn_deploy.operators import QuantConv2dAttributes
from rbnn_deploy.runtimes.numpy_backend import quant_conv2d as arithmetic
from rbnn_deploy.runtimes.numpy_backend.quant_conv2d import quant_conv2d

CASES = quant_cases(400)


@cache
def expected(case: QuantCase) -> np.ndarray:
    return oracle(**case.arrays(), **case.attributes.to_dict())


def run_numpy(case: QuantCase) -> np.ndarray:
    return quant_conv2d(**case.arrays(), attributes=case.attributes)


def test_every_pair_of_values_occurs() -> None:
    pairs = {pair for case in CASES for pair in itertools.combinations(case.row, 2)}
    names = itertools.combinations(FACTORS, 2)
    every = {((a, x), (b, y)) for a, b in names for x in FACTORS[a] for y in FACTORS[b]}
    assert len(every - pairs) < len(every) / 200
    assert {value for case in CASES for value in case.row} == {
        (name, value) for name, values in FACTORS.items() for value in values
    }


def test_most_results_are_numbers_and_differ() -> None:
    results = np.concatenate([expected(case).ravel() for case in CASES])
    assert np.isfinite(results).mean() > 0.6  # the specials do not drown everything else
    assert np.isnan(results).any()
    assert len(np.unique(results)) > len(results) / 5


@pytest.mark.parametrize("case", CASES, ids=str)
def test_numpy_backend_equals_the_oracle(case: QuantCase) -> None:
    assert same_bits(run_numpy(case), expected(case))


@pytest.mark.parametrize("name", ["quantise", "integer_sums", "finish", "max_pool"])
def test_the_cases_find_a_fault(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(arithmetic, name)

    def faulty_quantise(m: np.ndarray, factor: np.ndarray, attributes: Any) -> np.ndarray:
        with np.errstate(all="ignore"):  # halves go up
            return np.clip(np.nan_to_num(np.floor(m * factor + 0.5)), attributes.low, attributes.high)

    def fused(acc: np.ndarray, scale: np.ndarray, bias: np.ndarray, *rest: Any) -> np.ndarray:
        with np.errstate(all="ignore"):
            y = (acc.astype(np.float64) * scale + bias).astype(np.float32)
        return right(np.ones_like(acc), y, np.zeros_like(bias), *rest)

    faults = {
        "quantise": faulty_quantise,
        "integer_sums": lambda *arguments: right(*arguments) + 1,
        "finish": fused,
        "max_pool": lambda y, *rest: np.nan_to_num(right(y, *rest), posinf=np.inf, neginf=-np.inf),
    }
    monkeypatch.setattr(arithmetic, name, faults[name])
    assert sum(not same_bits(run_numpy(case), expected(case)) for case in CASES) >= 3


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_the_mean_is_summed_row_by_row(layout: str) -> None:
    # 3 is lost beside 2^70, and all behind -2^70 is kept: by columns it would be 11, backwards 0.
    x = np.float32([[2.0**70, 3, -(2.0**70)], [5, 7, 11]])
    X = x.reshape((1, 1, 2, 3) if layout == "channels_first" else (1, 2, 3, 1))
    one, W = np.ones(1, np.float32), np.ones((1, 1, 1, 1), np.int8)
    a = QuantConv2dAttributes(channels=1, layout=layout, mean_kernel=(0, 0))  # type: ignore[arg-type]
    arrays = {"X": X, "W": W, "scale": one, "bias": 0 * one, "factor": 6 * one, "R": None}
    assert quant_conv2d(**arrays, attributes=a).item() == 23
    assert oracle(**arrays, **a.to_dict()).item() == 23


def test_a_large_layer_is_computed_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rbnn_deploy.runtimes.numpy_backend.binary_conv2d.BLOCK_SUMS", 300)
    for case in CASES[:60]:
        assert same_bits(run_numpy(case), expected(case))


def test_the_largest_sum_is_exact() -> None:
    # As many products of 255 and -128 as are allowed.
    channels = (2**31 - 1) // (255 * 128)
    a = QuantConv2dAttributes(channels=channels, low=0, high=255)
    W = np.full((2, 1, 1, channels), -128, np.int8)
    W[1, 0, 0, ::2] = 127
    X = np.full((1, 1, 1, channels), 255, np.float32)
    one = np.ones(2, np.float32)
    y = quant_conv2d(X, W, one, 0 * one, one[:1], attributes=a)
    sums = [int(w.astype(np.int64).sum()) * 255 for w in W]
    assert y.ravel().tolist() == [float(np.float32(total)) for total in sums]
    assert min(sums) == -128 * 255 * channels
    more = QuantConv2dAttributes(channels=channels + 1, low=0, high=255)
    X, W = (np.pad(array, [(0, 0)] * 3 + [(0, 1)]) for array in (X, W))
    with pytest.raises(ValueError, match=f"a sum of {channels + 1} products can exceed int32"):
        quant_conv2d(X, W, one, one, one[:1], attributes=more)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(row=quant_rows())
def test_any_shape(row: dict[str, Any]) -> None:
    case = make_quant_case(row)
    assert same_bits(run_numpy(case), expected(case))
