"""Two slopes behind a float convolution run behind its MaxPool where a maximum commutes with them."""

from collections.abc import Callable

import numpy as np
import pytest
from onnxscript import ir
from support.plain_graphs import PlainGraph, lowered, run

from rbnn_deploy.exporters.onnx.passes.two_slopes import SlopesBehindMaxPool

SHAPE = (2, 6, 8, 8)
Build = Callable[[PlainGraph], list[str]]


def slopes(graph: PlainGraph, x: str, below: np.ndarray, above: np.ndarray) -> str:
    (less,) = graph.node("Less", x, graph.constant(0.0))
    constants = [graph.constant(values.reshape(-1, 1, 1)) for values in (below, above)]
    (slope,) = graph.node("Where", less, *constants)
    return graph.node("Mul", slope, x)[0]


def pooled(graph: PlainGraph, x: str) -> str:
    return graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])[0]


def read_twice(graph: PlainGraph, y: str) -> list[str]:
    return [pooled(graph, y), graph.node("Neg", y)[0]]


def conv(graph: PlainGraph) -> str:
    return graph.node("Conv", "input", graph.random(6, 6, 3, 3), kernel_shape=[3, 3], pads=[1, 1, 1, 1])[0]


def applied(build: Build) -> tuple[list[str], list[str]]:
    """Runs the pass, compares the results to the bit, and returns the operators and the notes."""
    graph = PlainGraph(SHAPE)
    model = graph.model(build(graph))
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    expected = run(lowered(model), x)
    notes = SlopesBehindMaxPool()(model).notes
    for want, found in zip(expected, run(lowered(model), x), strict=True):
        np.testing.assert_array_equal(found, want)
    return operators(model), [note.text for note in notes]


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph if node.op_type not in ("Constant", "Transpose")]


BELOW, ABOVE = np.float32([0, 0.1, 0.25, 0.5, 1, 2]), np.float32([1, 0.5, 0, 0.25, 3, 1])
BEFORE, BEHIND = ["Conv", "Less", "Where", "Mul", "MaxPool"], ["Conv", "MaxPool", "Less", "Where", "Mul"]


def test_slopes_run_on_the_smaller_map() -> None:
    found, notes = applied(
        lambda g: g.node("Neg", g.binary(pooled(g, slopes(g, conv(g), BELOW, ABOVE)), threshold="zero"))
    )
    assert found[:5] == BEHIND
    assert notes == ["moved behind its MaxPool: two slopes"]


def test_several_readers_of_the_pool_read_the_slopes() -> None:
    def build(graph: PlainGraph) -> list[str]:
        y = pooled(graph, slopes(graph, conv(graph), BELOW, ABOVE))
        return [graph.node("Exp", y)[0], graph.node("Neg", y)[0]]

    assert applied(build)[0][:5] == BEHIND


@pytest.mark.parametrize("negative", [BELOW, ABOVE], ids=["below", "above"])
def test_a_negative_slope_stays(negative: np.ndarray) -> None:
    below, above = (values - np.float32(0.01) * (values is negative) for values in (BELOW, ABOVE))
    found, notes = applied(lambda g: g.node("Neg", pooled(g, slopes(g, conv(g), below, above))))
    assert found[:5] == BEFORE
    assert notes == ["not moved behind its MaxPool: two slopes, one of which is negative"]


@pytest.mark.parametrize(
    "build",
    [
        lambda g: [pooled(g, slopes(g, conv(g), BELOW, ABOVE))],
        lambda g: read_twice(g, slopes(g, conv(g), BELOW, ABOVE)),
        lambda g: g.node("AveragePool", slopes(g, conv(g), BELOW, ABOVE), kernel_shape=[2, 2]),
        lambda g: [pooled(g, slopes(g, g.binary("input", threshold="zero"), BELOW, ABOVE))],
    ],
    ids=["graph's output", "read elsewhere", "mean", "binary"],
)
def test_what_stays(build: Build) -> None:
    found, notes = applied(build)
    assert found[1:4] == BEFORE[1:4]
    assert notes == []
