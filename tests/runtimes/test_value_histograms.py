"""How values are spread over several batches."""

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rbnn_deploy.errors import UserError
from rbnn_deploy.runtimes.value_histograms import value_histograms


def model() -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


BATCHES = [np.array([[1, 2], [3, -4]], np.float32), np.array([[0.5, 7]], np.float32)]


@pytest.mark.parametrize("names", [["x"], ["y"], ["x", "y"], []])
def test_the_smallest_and_the_largest_of_all_batches(names: list[str]) -> None:
    want = {"x": (-4.0, 7.0), "y": (-7.0, 4.0)}
    for bins in (0, 11):
        found = value_histograms(model(), names, iter(BATCHES), bins)
        assert {name: (seen.least, seen.most) for name, seen in found.items()} == {n: want[n] for n in names}


def test_elements_are_counted_over_all_batches() -> None:
    seen = value_histograms(model(), ["x"], iter(BATCHES), 11)["x"]
    assert seen.counts.tolist() == [1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1]  # -4, 0.5, 1, 2, 3, 7
    assert seen.centres[[0, -1]].tolist() == [-3.5, 6.5]
    assert value_histograms(model(), ["x"], BATCHES, 0)["x"].counts.size == 0


def test_a_value_that_is_no_number_shows() -> None:
    found = value_histograms(model(), ["y"], [*BATCHES, np.array([[np.nan, 0]], np.float32)])
    assert math.isnan(found["y"].least)
    assert math.isnan(found["y"].most)


@pytest.mark.parametrize(
    "values", [[1e6, 1e6], [1e38, 1e38], [1e-42, 3e-42], [1000, np.nextafter(np.float32(1000), np.inf)]]
)
def test_values_of_nearly_one_size_are_counted(values: list[float]) -> None:
    x = np.array([values], np.float32)
    seen = value_histograms(model(), ["y"], [x])["y"]
    assert (seen.least, seen.most) == (-x.max(), -x.min())
    assert seen.counts.sum() == (0 if x[0, 0] == x[0, 1] else 2)


def test_there_must_be_a_sample() -> None:
    with pytest.raises(UserError, match="no image to calibrate with"):
        value_histograms(model(), ["y"], [])
