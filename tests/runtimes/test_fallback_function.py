"""The model-local function computes what the operator does, in ONNX Runtime alone and in onnx's evaluator."""

import itertools
import random

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from support.operator_cases import Case, make_case, random_rows
from support.oracle import accumulate, mean
from support.oracle import binary_conv2d as oracle

from rbnn_deploy.exporters.onnx.functions import binary_conv2d_function
from rbnn_deploy.runtimes.onnx_runtime import create_session
from rbnn_deploy.runtimes.operator_model import operator_model

ONNX_VERSION = tuple(int(part) for part in onnx.__version__.split(".")[:2])


def is_far_from_ties(case: Case) -> bool:
    """Whether no activation is so near its threshold that a mean summed in another order could flip its bit.

    Another order of a float64 sum moves a mean of these values by less than 1e-12, one rounding to float32 by
    less than 1e-7.
    """
    X = case.arrays()["X"]
    zero = case.attributes.threshold == "zero"
    return all(np.abs(sample - (0 if zero else mean(sample))).min() > 1e-6 for sample in X)


def cases(count: int) -> list[Case]:
    plain = {"values": "normal", "affine": "normal"}
    drawn = (make_case(row | plain) for row in random_rows(random.Random(7)))
    return list(itertools.islice(filter(is_far_from_ties, drawn), count))


@pytest.mark.parametrize("case", cases(40), ids=str)
@pytest.mark.parametrize("engine", ["onnxruntime", "onnx"])
def test_function_equals_the_oracle(engine: str, case: Case) -> None:
    arrays = case.arrays()
    if engine == "onnx" and not len(arrays["X"]) and ONNX_VERSION < (1, 23):
        pytest.skip("this onnx's evaluator cannot convolve an empty batch")
    want = oracle(**arrays, **case.attributes.to_dict())
    X, R = arrays.pop("X"), arrays.pop("R")
    feeds = {"X": X, "R": np.zeros((), np.float32) if R is None else R}
    model = operator_model(**arrays, attributes=case.attributes, functions=[binary_conv2d_function()])
    if engine == "onnx":
        (got,) = ReferenceEvaluator(model).run(None, feeds)
    else:
        (got,) = create_session(model.SerializeToString(), library=False, threads=1).run(None, feeds)

    geometry = case.attributes.to_dict() | {"X": X, "W": arrays["W"]}
    geometry.pop("activation")
    # The sums are whole numbers and so exact. Each of the three float steps rounds by half a unit of its
    # result at most, in another place where steps are fused; the results are below the sum of magnitudes.
    size = np.abs(accumulate(**geometry) * arrays["scale"]) + np.abs(arrays["bias"]) + np.abs(feeds["R"])
    assert got.shape == want.shape
    assert np.all(np.abs(got - want) <= 3 * np.finfo(np.float32).eps * size)
