"""Shifts, slopes and late residuals become parts of a binary layer, and the graph computes the same."""

from collections.abc import Callable

import numpy as np
import pytest
from onnxscript import ir
from support.plain_graphs import PlainGraph, lowered, run

from rbnn_deploy.exporters.onnx.graph import constant_array, text
from rbnn_deploy.exporters.onnx.layout import ChannelsLast
from rbnn_deploy.exporters.onnx.passes.fuse_binary_conv import FuseBinaryConv
from rbnn_deploy.exporters.onnx.passes.fuse_general import FuseGeneralBinaryConv
from rbnn_deploy.exporters.onnx.passes.result import Note
from rbnn_deploy.exporters.onnx.passes.tidy import clean
from rbnn_deploy.operators import BINARY_CONV2D, GENERAL_BINARY_CONV2D, GENERAL_BINARY_CONV2D_OPERATOR

SHAPE = (2, 6, 4, 8)
Build = Callable[[PlainGraph], str]


def node(graph: PlainGraph, op_type: str, *inputs: str, **attributes: object) -> str:
    (output,) = graph.node(op_type, *inputs, **attributes)
    return output


def layer(graph: PlainGraph, x: str = "input", **options: object) -> str:
    return graph.binary(x, threshold="zero", **options)  # type: ignore[arg-type]


def slopes(
    graph: PlainGraph,
    y: str,
    *,
    product: str | None = None,
    above: str | None = None,
    zero: str | None = None,
) -> str:
    """Adds Where(y < zero, a, b) * product; the product is y's own without one."""
    less = node(graph, "Less", y, zero or graph.constant(0.0))
    slope = node(graph, "Where", less, graph.random(6, 1, 1), above or graph.random(6, 1, 1))
    return node(graph, "Mul", slope, product or y)


def scaled(graph: PlainGraph, y: str) -> str:
    return node(graph, "Mul", y, graph.random(6, 1, 1))


def read_twice(graph: PlainGraph, y: str) -> str:
    return node(graph, "Max", slopes(graph, y), y)


def fused(build: Build) -> tuple[ir.Model, list[Note]]:
    """Runs the passes and compares the results; to the bit, since no constant is composed in them."""
    graph = PlainGraph(SHAPE)
    model = graph.model([build(graph)])
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    x[0, :, 0, 0] = 0
    (expected,) = run(lowered(model), x)
    notes = [
        note
        for one in (ChannelsLast(), FuseBinaryConv(), FuseGeneralBinaryConv())
        for note in one(model).notes
    ]
    clean(model)
    (found,) = run(model, x)
    np.testing.assert_array_equal(found, expected)
    return model, notes


def operators(model: ir.Model) -> list[str]:
    return [one.op_type for one in model.graph if one.op_type not in ("Constant", "Transpose")]


WHOLE: dict[str, tuple[Build, dict[str, object]]] = {
    "shift": (
        lambda g: layer(g, node(g, "Add", "input", g.random(1, 6, 1, 1))),
        {"threshold": "per_channel"},
    ),
    "shift from the left": (
        lambda g: layer(g, node(g, "Add", g.random(6, 1, 1), "input")),
        {"threshold": "per_channel"},
    ),
    "difference": (
        lambda g: layer(g, node(g, "Sub", "input", g.constant(0.25))),
        {"threshold": "per_channel"},
    ),
    "PRelu": (lambda g: node(g, "PRelu", layer(g), g.random(6, 1, 1)), {"activation": "prelu"}),
    "two slopes": (lambda g: slopes(g, layer(g)), {"activation": "prelu"}),
    "two slopes behind a residual": (
        lambda g: slopes(g, node(g, "Add", layer(g), "input")),
        {"activation": "prelu", "residual": "before_activation"},
    ),
    "two slopes and a shift": (
        lambda g: node(g, "Add", slopes(g, layer(g)), g.random(6, 1, 1)),
        {"activation": "prelu"},
    ),
    "residual behind two slopes": (
        lambda g: node(g, "Add", slopes(g, layer(g)), "input"),
        {"activation": "prelu", "residual": "after_activation"},
    ),
    "LeakyRelu": (lambda g: node(g, "LeakyRelu", layer(g), alpha=0.25), {"activation": "prelu"}),
    "PRelu and a shift": (
        lambda g: node(g, "Add", node(g, "PRelu", layer(g), g.random(6, 1, 1)), g.random(6, 1, 1)),
        {"activation": "prelu"},
    ),
    "PRelu behind a residual": (
        lambda g: node(g, "PRelu", node(g, "Add", layer(g), "input"), g.random(6, 1, 1)),
        {"activation": "prelu", "residual": "before_activation"},
    ),
    "residual behind a PRelu": (
        lambda g: node(g, "Add", node(g, "PRelu", layer(g), g.random(6, 1, 1)), "input"),
        {"activation": "prelu", "residual": "after_activation"},
    ),
    "Relu and a shift": (
        lambda g: node(g, "Add", node(g, "Relu", layer(g)), g.random(6, 1, 1)),
        {"activation": "prelu"},
    ),
    # A slope of 0 or 1 times a factor rounds nothing, so the bits stay.
    "Relu and a BatchNorm": (
        lambda g: node(g, "Add", scaled(g, node(g, "Relu", layer(g))), g.random(6, 1, 1)),
        {"activation": "prelu"},
    ),
    "residual behind a Relu and a BatchNorm": (
        lambda g: node(
            g, "Add", node(g, "Add", scaled(g, node(g, "Relu", layer(g))), g.random(6, 1, 1)), "input"
        ),
        {"activation": "prelu", "residual": "after_activation"},
    ),
    "residual behind a Relu": (
        lambda g: node(g, "Add", "input", node(g, "Relu", layer(g))),
        {"activation": "relu", "residual": "after_activation"},
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_it_becomes_one_node(name: str) -> None:
    build, attributes = WHOLE[name]
    model, notes = fused(build)
    assert operators(model) == [GENERAL_BINARY_CONV2D]
    (conv,) = [one for one in model.graph if one.op_type == GENERAL_BINARY_CONV2D]
    assert {key: text(conv, key) for key in attributes} == attributes
    assert any(note.done and "fused" in note.text for note in notes)


LEFT: dict[str, tuple[Build, list[str]]] = {
    "shift per pixel": (lambda g: layer(g, node(g, "Add", "input", g.random(4, 8))), ["Add", BINARY_CONV2D]),
    "shift of a mean": (
        lambda g: g.binary(node(g, "Add", "input", g.random(6, 1, 1))),
        ["Add", BINARY_CONV2D],
    ),
    "endless shift": (
        lambda g: layer(g, node(g, "Add", "input", g.constant(np.inf))),
        ["Add", BINARY_CONV2D],
    ),
    "reversed difference": (
        lambda g: layer(g, node(g, "Sub", g.constant(0.25), "input")),
        ["Sub", BINARY_CONV2D],
    ),
    "slope per pixel": (lambda g: node(g, "PRelu", layer(g), g.random(6, 4, 8)), [BINARY_CONV2D, "PRelu"]),
    "slopes per pixel": (
        lambda g: slopes(g, layer(g), above=g.random(6, 4, 8)),
        [BINARY_CONV2D, "Less", "Where", "Mul"],
    ),
    "slopes on either side of another number": (
        lambda g: slopes(g, layer(g), zero=g.constant(0.25)),
        [BINARY_CONV2D, "Less", "Where", "Mul"],
    ),
    "slopes of another map": (
        lambda g: slopes(g, layer(g), product="input"),
        [BINARY_CONV2D, "Less", "Where", "Mul"],
    ),
    "slopes chosen by another map": (
        lambda g: slopes(g, "input", product=layer(g)),
        ["Less", "Where", BINARY_CONV2D, "Mul"],
    ),
    "two slopes of a map that is read elsewhere": (
        lambda g: read_twice(g, layer(g)),
        [BINARY_CONV2D, "Less", "Where", "Mul", "Max"],
    ),
    "its output as the slopes": (
        lambda g: node(g, "PRelu", "input", layer(g)),
        [BINARY_CONV2D, "PRelu"],
    ),
    "second activation": (
        lambda g: node(g, "PRelu", node(g, "Relu", layer(g)), g.random(6, 1, 1)),
        [BINARY_CONV2D, "PRelu"],
    ),
    "second residual": (
        lambda g: node(g, "Add", node(g, "Relu", node(g, "Add", layer(g), "input")), node(g, "Neg", "input")),
        [BINARY_CONV2D, "Neg", "Add"],
    ),
    "residual of one pixel": (
        lambda g: node(g, "Add", node(g, "Relu", layer(g)), node(g, "GlobalMaxPool", "input")),
        [BINARY_CONV2D, "ReduceMax", "Add"],
    ),
    "factor per pixel behind a Relu": (
        lambda g: node(g, "Mul", node(g, "Relu", layer(g)), g.random(4, 8)),
        [BINARY_CONV2D, "Mul"],
    ),
    "itself": (lambda g: twice(g, node(g, "Relu", layer(g))), [BINARY_CONV2D, "Add"]),
}


def twice(graph: PlainGraph, x: str) -> str:
    return node(graph, "Add", x, x)


@pytest.mark.parametrize("name", LEFT)
def test_what_does_not_fit_stays(name: str) -> None:
    build, nodes = LEFT[name]
    model, _ = fused(build)
    assert sorted(operators(model)) == sorted(nodes)


def test_a_shift_that_others_read_too_stays_for_them() -> None:
    def build(graph: PlainGraph) -> str:
        shifted = node(graph, "Add", node(graph, "Exp", layer(graph)), graph.random(6, 1, 1))
        return node(graph, "Mul", node(graph, "Exp", layer(graph, shifted)), shifted)

    model, _ = fused(build)
    assert operators(model) == [BINARY_CONV2D, "Exp", "Add", GENERAL_BINARY_CONV2D, "Exp", "Mul"]


def test_a_shift_that_the_next_layer_and_its_residual_read_belongs_to_the_layer_before() -> None:
    """ReActNet's: in the next layer's bias it would stay a pass of its own for that layer's signs."""

    def build(graph: PlainGraph) -> str:
        shifted = node(
            graph, "Add", node(graph, "PRelu", layer(graph), graph.random(6, 1, 1)), graph.random(6, 1, 1)
        )
        return node(graph, "Add", layer(graph, shifted), shifted)

    model, _ = fused(build)
    assert operators(model) == [GENERAL_BINARY_CONV2D, BINARY_CONV2D]


def test_a_shift_of_a_channels_last_value() -> None:
    def build(graph: PlainGraph) -> str:
        return layer(graph, node(graph, "Add", node(graph, "Exp", layer(graph)), graph.random(6, 1, 1)))

    model, _ = fused(build)
    assert operators(model) == [BINARY_CONV2D, "Exp", GENERAL_BINARY_CONV2D]


def test_thresholds_are_the_negated_shifts() -> None:
    def build(graph: PlainGraph) -> str:
        return layer(graph, node(graph, "Add", "input", graph.constant(np.float32([[[1]], [[-2]]] * 3))))

    model, _ = fused(build)
    (conv,) = [one for one in model.graph if one.op_type == GENERAL_BINARY_CONV2D]
    thresholds = constant_array(conv.inputs[GENERAL_BINARY_CONV2D_OPERATOR.index("T")])
    assert thresholds is not None
    assert thresholds.tolist() == [-1, 2] * 3
