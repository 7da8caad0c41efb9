"""The model-local function of GeneralBinaryConv2d computes what the operator does, without the library."""

import itertools
import random

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from support.general_cases import GeneralCase, make_general_case, random_general_rows
from support.nodes import operator_model_of, run_operator
from support.oracle import accumulate, each, mean
from support.oracle import general_binary_conv2d as oracle

from rbnn_deploy.exporters.onnx.general_function import general_binary_conv2d_function

NEUTRAL = {"R": 0, "T": 0, "window_sum": 0, "neg": 0, "pos": 1, "post": 0, "border": 0}
ONNX_VERSION = tuple(int(part) for part in onnx.__version__.split(".")[:2])


def is_far_from_ties(case: GeneralCase) -> bool:
    """Whether no activation is so near its mean that one summed in another order could flip its bit."""
    X = case.arrays()["X"]
    return case.attributes.threshold != "sample_mean" or all(
        np.abs(sample - mean(sample)).min() > 1e-6 for sample in X
    )


def cases(count: int) -> list[GeneralCase]:
    plain = {"values": "normal", "affine": "normal", "slopes": "normal"}
    drawn = (make_general_case(row | plain) for row in random_general_rows(random.Random(17)))
    return list(itertools.islice(filter(is_far_from_ties, drawn), count))


def largest(case: GeneralCase, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Returns a bound of the magnitudes that the float steps add up; docs/ops has the equation."""
    geometry = case.attributes.to_dict() | {"X": arrays["X"], "W": arrays["W"], "T": arrays["T"]}
    for name in ("activation", "residual"):
        geometry.pop(name)
    outputs = len(arrays["W"])
    sums = np.abs(accumulate(**geometry | {"W": np.full_like(arrays["W"], 255)}))
    size = np.abs(accumulate(**geometry) * arrays["scale"]) + np.abs(arrays["bias"]) + np.abs(arrays["R"])
    size = size + sums * np.abs(each(arrays["window_sum"], outputs, 0))
    size = size + np.abs(np.broadcast_to(arrays["border"], (*arrays["W"].shape[1:3], outputs))).sum((0, 1))
    slope = np.maximum(np.abs(arrays["neg"]), np.abs(arrays["pos"])).max()
    return size * max(1, slope) + np.abs(arrays["post"]) + np.abs(arrays["R"])


@pytest.mark.parametrize("case", cases(60), ids=str)
@pytest.mark.parametrize("engine", ["onnxruntime", "onnx"])
def test_function_equals_the_oracle(engine: str, case: GeneralCase) -> None:
    arrays = case.arrays()
    if engine == "onnx" and not len(arrays["X"]) and ONNX_VERSION < (1, 23):
        pytest.skip("this onnx's evaluator cannot convolve an empty batch")
    want = oracle(**arrays, **case.attributes.to_dict())
    arrays = {
        name: np.full((1,), NEUTRAL[name], np.float32) if value is None else value
        for name, value in arrays.items()
    }
    call = ("GeneralBinaryConv2d", arrays, case.attributes.to_dict())
    functions = [general_binary_conv2d_function()]
    if engine == "onnx":
        feeds = {name: value for name, value in arrays.items() if name != "W"}
        (got,) = ReferenceEvaluator(operator_model_of(*call, functions=functions)).run(None, feeds)
    else:
        got = run_operator(*call, library=False, functions=functions)
    # The sums are whole numbers and so exact. Each of the nine float steps rounds by half a unit of its
    # result at most, in another place where steps are fused; results are below the sum of magnitudes.
    assert got.shape == want.shape
    assert np.all(np.abs(got - want) <= 9 * np.finfo(np.float32).eps * largest(case, arrays))


def test_no_value_is_computed_twice() -> None:
    function = general_binary_conv2d_function()
    names = [*function.input, *(name for node in function.node for name in node.output)]
    assert len(names) == len(set(names))
