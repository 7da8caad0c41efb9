"""GeneralBinaryConv2d: the oracle, the NumPy backend and every kernel of this host agree bit for bit."""

import itertools
from functools import cache

import numpy as np
import pytest
from support.general_cases import FACTORS, GeneralCase, general_cases
from support.nodes import run_operator
from support.oracle import general_binary_conv2d as oracle
from support.oracle import same_bits

from rbnn_deploy.runtimes.library import library_info
from rbnn_deploy.runtimes.numpy_backend import general_binary_conv2d as arithmetic
from rbnn_deploy.runtimes.numpy_backend.general_binary_conv2d import general_binary_conv2d

CASES = general_cases(400)


@cache
def expected(case: GeneralCase) -> np.ndarray:
    return oracle(**case.arrays(), **case.attributes.to_dict())


def run_numpy(case: GeneralCase) -> np.ndarray:
    return general_binary_conv2d(**case.arrays(), attributes=case.attributes)


def test_every_pair_of_values_occurs() -> None:
    pairs = {pair for case in CASES for pair in itertools.combinations(case.extra, 2)}
    names = itertools.combinations(FACTORS, 2)
    assert pairs == {
        ((one, left), (two, right)) for one, two in names for left in FACTORS[one] for right in FACTORS[two]
    }


def test_most_results_are_numbers() -> None:
    results = np.concatenate([expected(case).ravel() for case in CASES])
    assert np.isfinite(results).mean() > 0.6  # the specials do not drown everything else


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_numpy_backend_equals_the_oracle(case: GeneralCase) -> None:
    assert same_bits(run_numpy(case), expected(case))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel_equals_the_oracle(kernel: str, case: GeneralCase) -> None:
    assert library_info()["kernel"] == kernel
    for threads in (1, 2):
        y = run_operator("GeneralBinaryConv2d", case.arrays(), case.attributes.to_dict(), threads=threads)
        assert same_bits(y, expected(case)), f"{kernel}, {threads} threads"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["window_sums", "with_border", "binarise", "activate"])
def test_the_cases_find_a_fault(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(arithmetic, name)
    faults = {
        "window_sums": lambda *arguments: right(*arguments) + 1,
        "with_border": lambda y, border, *rest: right(y, border[::-1] if border.size > 1 else border, *rest),
        "binarise": lambda X, rule: np.greater(X, 0) if rule == "zero" else right(X, rule),
        "activate": lambda y, name: np.maximum(y, 0) if name == "hardtanh" else right(y, name),
    }
    monkeypatch.setattr(arithmetic, name, faults[name])
    assert sum(not same_bits(run_numpy(case), expected(case)) for case in CASES) >= 3
