"""Differences of logits, with numbers that are none, and the explanation of one sample."""

import numpy as np
import pytest

from rbnn_deploy.comparing.explaining import explain
from rbnn_deploy.comparing.statistics import PairStatistics, differences, same_bits
from rbnn_deploy.comparing.traces import Binarised, Trace

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
    statistics = PairStatistics()
    first = statistics.add(np.float32([[1, 2], [4, 3]]), np.float32([[1, 2], [4, 5]]))
    second = statistics.add(np.float32([[0, 1]]), np.float32([[0, 2]]))
    assert first.tolist() == [0, 2]
    assert second.tolist() == [1]
    assert statistics.samples == 3
    assert statistics.largest == 2
    assert statistics.total / statistics.values == 3 / 6
    assert statistics.same_class == 2
    assert not statistics.bit_identical


def trace(x: list[float], t: float) -> Trace:
    return Trace(
        np.zeros((1, 1), np.float32),
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
