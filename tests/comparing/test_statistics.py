"""Differences of logits, with numbers that are none, and the explanation of one sample."""

import numpy as np
import pytest

from rbnn_deploy.comparing.explaining import explain
from rbnn_deploy.comparing.statistics import OutputStatistics, PairStatistics, differences, same_bits
from rbnn_deploy.comparing.traces import Binarised, Trace, rows_of

NAN, INF = np.nan, np.inf


def test_differences_with_infinities_and_nans() -> None:
    left = np.float32([1, NAN, NAN, INF, INF, INF, 0.0])
    right = np.float32([3, NAN, 1, INF, -INF, 1, -0.0])
    np.testing.assert_array_equal(differences(left, right), [2, 0, INF, 0, INF, INF, 0])


def test_same_bits_tells_zeros_apart_and_not_nans() -> None:
    assert same_bits(np.float32([NAN, 1]), np.float32([-NAN, 1]))
    assert not same_bits(np.float32([0.0]), np.float32([-0.0]))
    assert not same_bits(np.float32([NAN]), np.float32([1]))
    assert not same_bits(np.float32([[1]]), np.float32([1]))


def test_statistics_add_up_over_batches() -> None:
    statistics = OutputStatistics()
    first = statistics.add(np.float32([[1, 2], [4, 3]]), np.float32([[1, 2], [4, 5]]))
    second = statistics.add(np.float32([[0, 1]]), np.float32([[0, 2]]))
    assert first.tolist() == [0, 2]
    assert second.tolist() == [1]
    assert statistics.samples == 3
    assert statistics.largest == 2
    assert statistics.total / statistics.values == 3 / 6
    assert statistics.same_class == 2
    assert not statistics.bit_identical


def test_a_pair_agrees_where_all_outputs_do() -> None:
    statistics = PairStatistics()
    left = {"a": np.float32([[1, 2], [4, 3]]), "b": np.float32([[0, 1], [0, 1]])}
    right = {"a": np.float32([[1, 2], [4, 5]]), "b": np.float32([[0, 1.5], [0, 1]])}
    gaps = statistics.add(left, right)
    assert {name: values.tolist() for name, values in gaps.items()} == {"a": [0, 2], "b": [0.5, 0]}
    assert statistics.same_class == 1
    assert [s.same_class for s in statistics.outputs.values()] == [1, 2]


def test_a_sample_may_have_several_rows_of_a_layer() -> None:
    assert rows_of(6, 6, 4) == slice(4, 5)
    assert rows_of(6, 2, 1) == slice(3, 6)
    x = np.float32([[0.5], [-1e-7], [1], [2]]).reshape(4, 1, 1, 1)  # two samples of two frames
    other = x.copy()
    other[1] = 0
    sides = [Trace({"y": np.zeros((2, 1))}, {"layer": Binarised(a, np.zeros(4))}, {}) for a in (x, other)]
    assert explain(*sides, ["layer"], 0).explains
    assert explain(*sides, ["layer"], 1).layer is None
    other[0] = -0.5
    assert explain(*sides, ["layer"], 0).flipped == 2
    assert not explain(*sides, ["layer"], 0).explains


def trace(x: list[float], t: float) -> Trace:
    return Trace(
        {"logits": np.zeros((1, 1), np.float32)},
        {"layer": Binarised(np.float32(x).reshape(1, 1, 1, -1), np.float32([t]))},
        {},
    )


@pytest.mark.parametrize(
    ("left", "right", "explains"),
    [
        (([1, -1, 0.0], 0), ([1, -1, -1e-6], 0), True),
        (([1, -1, 0.0], 0), ([1, -1, -1e-4], 0), False),
        # The threshold, not the activation, is on the other side.
        (([1, -1, 0.5], 0.5), ([1, -1, 0.5], 0.500001), True),
        # One of the two flipped bits is far away.
        (([1, 1, 0.0], 0), ([1, -1, -1e-7], 0), False),
        # The margin is relative: the same distance is much for a small input.
        (([1e-3, -1e-3, 0.0], 0), ([1e-3, -1e-3, -1e-6], 0), False),
        (([1, -1, NAN], 0), ([1, -1, 0], 0), False),
        (([1, -1, INF], 0), ([1, -1, -INF], 0), False),
        (([1, -1, 1], 0), ([1, -1, 2], 0), False),  # no bit differs
        (([0, 0, 0], 0), ([0, 0, -0.0], 0), False),
    ],
)
def test_what_explains_a_difference(left: tuple, right: tuple, explains: bool) -> None:
    assert explain(trace(*left), trace(*right), ["layer"], 0).explains is explains
    assert explain(trace(*right), trace(*left), ["layer"], 0).explains is explains


def test_only_the_first_layer_counts() -> None:
    left, right = trace([1, -1, 0.0], 0), trace([1, -1, -1e-7], 0)
    far, near = (
        Binarised(np.float32([[[[1]]]]), np.float32([0])),
        Binarised(np.float32([[[[-1]]]]), np.float32([0])),
    )
    left.inputs["later"], right.inputs["later"] = far, near
    assert explain(left, right, ["layer", "later"], 0).explains
    assert not explain(left, right, ["later", "layer"], 0).explains
