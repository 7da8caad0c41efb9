"""Ranges of values over several batches."""

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rbnn_deploy.errors import UserError
from rbnn_deploy.runtimes.value_ranges import value_ranges


def model() -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


BATCHES = [np.array([[1, 2], [3, -4]], np.float32), np.array([[0.5, 7]], np.float32)]


@pytest.mark.parametrize("names", [["x"], ["y"], ["x", "y"], []])
def test_the_smallest_and_the_largest_of_all_batches(names: list[str]) -> None:
    want = {"x": (-4.0, 7.0), "y": (-7.0, 4.0)}
    assert value_ranges(model(), names, BATCHES) == {name: want[name] for name in names}


def test_a_value_that_is_no_number_shows() -> None:
    found = value_ranges(model(), ["y"], [*BATCHES, np.array([[np.nan, 0]], np.float32)])
    assert all(map(math.isnan, found["y"]))


def test_there_must_be_a_sample() -> None:
    with pytest.raises(UserError, match="no image to calibrate with"):
        value_ranges(model(), ["y"], [])
