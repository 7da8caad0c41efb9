"""The model-local function of QuantConv2d computes what the operator does, without the library."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from support.nodes import operator_model_of, run_operator
from support.oracle import same_bits
from support.quant_cases import QuantCase, quant_cases
from support.quant_oracle import quant_conv2d as oracle

from rbnn_deploy.exporters.onnx.quant_function import quant_conv2d_function
from rbnn_deploy.model_files import read_model
from rbnn_deploy.operators import QUANT_CONV2D

NO_POOL = {"pool_kernel": (1, 1), "pool_strides": (1, 1), "pool_pads": (0, 0, 0, 0)}
CASES = quant_cases(300)


def reaches_the_pool(case: QuantCase) -> bool:
    """Whether a NaN or -infinity stands in front of the max pool, which runtimes treat in their own ways."""
    y4 = oracle(**case.arrays(), **case.attributes.to_dict() | NO_POOL)
    return bool((np.isnan(y4) | (y4 == -np.inf)).any())


def test_most_cases_count() -> None:
    assert sum(map(reaches_the_pool, CASES)) < len(CASES) / 4


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("case", [case for case in CASES if not reaches_the_pool(case)], ids=str)
@pytest.mark.parametrize("engine", ["onnxruntime", "onnx"])
def test_function_equals_the_oracle(engine: str, case: QuantCase) -> None:
    arrays = case.arrays()
    if engine == "onnx" and not len(arrays["X"]):
        pytest.skip("onnx's evaluator cannot pool an empty batch")
    want = oracle(**arrays, **case.attributes.to_dict())
    if arrays["R"] is None:
        arrays["R"] = np.zeros(1, np.float32)
    call = (QUANT_CONV2D, arrays, case.attributes.to_dict())
    functions = [quant_conv2d_function()]
    if engine == "onnx":
        feeds = {name: value for name, value in arrays.items() if name != "W"}
        (got,) = ReferenceEvaluator(operator_model_of(*call, functions=functions)).run(None, feeds)
    else:
        got = run_operator(*call, library=False, functions=functions)
    # Neither fuses a multiplication with an addition here, and the order of the mean is that of CumSum.
    assert same_bits(got, want)


def test_weights_that_would_saturate_pairs_of_int16() -> None:
    # 255 * 127 twice exceeds int16: instructions that multiply unsigned by signed bytes saturate there.
    channels = 64
    arrays = {
        "X": np.full((1, 3, 3, channels), 255, np.float32),
        "W": np.full((8, 3, 3, channels), 127, np.int8),
        "scale": np.ones(8, np.float32),
        "bias": np.zeros(8, np.float32),
        "factor": np.ones(1, np.float32),
        "R": np.zeros(1, np.float32),
    }
    attributes = quant_cases(1)[0].attributes.to_dict() | NO_POOL
    attributes |= {"channels": channels, "groups": 1, "layout": "channels_last", "low": 0, "high": 255}
    attributes |= {"mean_kernel": (1, 1), "mean_strides": (1, 1), "activation": "none"}
    attributes |= {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0)}
    got = run_operator(QUANT_CONV2D, arrays, attributes, library=False, functions=[quant_conv2d_function()])
    assert got.ravel().tolist() == [float(255 * 127 * 9 * channels)] * 8


def test_a_file_with_the_function_is_read(tmp_path: Path) -> None:
    case = CASES[0]
    arrays = case.arrays() | {"R": np.zeros(1, np.float32)}
    call = (QUANT_CONV2D, arrays, case.attributes.to_dict())
    onnx.save(operator_model_of(*call, functions=[quant_conv2d_function()]), tmp_path / "m.onnx")
    assert [function.name for function in read_model(tmp_path / "m.onnx").model.functions] == [QUANT_CONV2D]


def test_no_value_is_computed_twice() -> None:
    function = quant_conv2d_function()
    names = [*function.input, *(name for node in function.node for name in node.output)]
    assert len(names) == len(set(names))
    used = {attribute.ref_attr_name for node in function.node for attribute in node.attribute}
    assert used - {""} == set(function.attribute)
