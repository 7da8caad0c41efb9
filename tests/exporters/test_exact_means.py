"""Means in a fixed order: what the pass writes, computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plain_graphs import PlainGraph, lowered, run

from rbnn_deploy.exporters.onnx.passes.exact_means import ExactMeans


def by_halves(x: np.ndarray, axis: int) -> np.ndarray:
    """Adds along one axis as the pass does, with float32 sums."""
    waiting = []
    while x.shape[axis] > 1:
        half = x.shape[axis] // 2
        first, second, rest = np.split(x, [half, 2 * half], axis)
        if rest.size:
            waiting.append(rest)
        x = first + second
    for rest in waiting:
        x = x + rest
    return x


@given(
    st.integers(1, 13),
    st.integers(1, 13),
    st.sampled_from(["GlobalAveragePool", "ReduceMean", "AveragePool"]),
)
def test_a_mean_over_the_whole_map_adds_halves(height: int, width: int, kind: str) -> None:
    graph = PlainGraph((2, 3, height, width))
    inputs = ["input"] + ([graph.constant([2, 3], np.int64)] if kind == "ReduceMean" else [])
    options = {"kernel_shape": [height, width]} if kind == "AveragePool" else {}
    (y,) = graph.node(kind, *inputs, **options)
    model = graph.model([y])
    assert ExactMeans()(model).modified
    x = np.random.default_rng(0).standard_normal((2, 3, height, width), np.float32)
    (found,) = run(lowered(model), x)
    want = by_halves(by_halves(x, 2), 3) / np.float32(height * width)
    np.testing.assert_array_equal(found, want)


def test_a_mean_that_drops_its_axes() -> None:
    graph = PlainGraph((2, 3, 5, 4))
    (y,) = graph.node("ReduceMean", "input", graph.constant([2, 3], np.int64), keepdims=0)
    model = graph.model([y])
    ExactMeans()(model)
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4), np.float32)
    want = (by_halves(by_halves(x, 2), 3) / np.float32(20))[:, :, 0, 0]
    np.testing.assert_array_equal(run(lowered(model), x)[0], want)


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[1], [-1], [1, 3], [3, 2, 1]])
def test_means_over_other_axes(axes: list[int], keepdims: int) -> None:
    graph = PlainGraph((2, 3, 5, 4))
    (y,) = graph.node("ReduceMean", "input", graph.constant(axes, np.int64), keepdims=keepdims)
    model = graph.model([y])
    assert ExactMeans()(model).modified
    x = want = np.random.default_rng(0).standard_normal((2, 3, 5, 4), np.float32)
    places = sorted(axis % 4 for axis in axes)
    for axis in places:
        want = by_halves(want, axis)
    want = want / np.float32(np.prod([x.shape[axis] for axis in places]))
    want = want if keepdims else want.squeeze(tuple(places))
    np.testing.assert_array_equal(run(lowered(model), x)[0], want)


@given(st.data())
def test_windows_are_added_row_by_row(data: st.DataObject) -> None:
    kernel = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    strides = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pads = tuple(data.draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4))
    counted = data.draw(st.booleans())
    size = tuple(data.draw(st.integers(max(kernel[i], 2), 9)) for i in range(2))
    graph = PlainGraph((2, 3, *size))
    (y,) = graph.node(
        "AveragePool",
        "input",
        kernel_shape=kernel,
        strides=strides,
        pads=pads,
        count_include_pad=int(counted),
    )
    model = graph.model([y])
    assert ExactMeans()(model).modified
    x = np.random.default_rng(0).standard_normal((2, 3, *size), np.float32)
    (found,) = run(lowered(model), x)
    if kernel == size and not any(pads):
        return  # the whole map
    widths = ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3]))
    wide, inside = (np.pad(array, widths) for array in (x, np.ones_like(x)))
    want = np.zeros_like(found)
    for row in range(found.shape[2]):
        for column in range(found.shape[3]):
            total, taps = np.zeros((2, 3), np.float32), 0
            for i in range(kernel[0]):
                for j in range(kernel[1]):
                    place = (..., row * strides[0] + i, column * strides[1] + j)
                    total = total + wide[place]
                    taps += int(inside[(0, 0, *place[1:])])
            want[:, :, row, column] = total / np.float32(np.prod(kernel) if counted else taps)
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
        ("AveragePool", {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}),
        ("AveragePool", {"kernel_shape": [2, 2], "dilations": [2, 2]}),
        ("ReduceMean", {}),
    ],
)
def test_other_means_stay_and_the_reason_is_noted(kind: str, options: dict[str, object]) -> None:
    graph = PlainGraph((2, 3, 5, 5))
    (y,) = graph.node(kind, "input", **options)
    result = ExactMeans()(graph.model([y]))
    assert not result.modified
    assert [note.done for note in result.notes] == [False]
