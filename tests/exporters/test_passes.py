"""Single graph passes: where they apply, where they refuse and why, and that the graph computes the same."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxscript import ir
from support.plain_graphs import PlainGraph, lowered, run

from rbnn_deploy.exporters.onnx.graph import same_shape
from rbnn_deploy.exporters.onnx.layout import ChannelsLast
from rbnn_deploy.exporters.onnx.passes.fold_batch_norm import FoldBatchNorm
from rbnn_deploy.exporters.onnx.passes.fuse_binary_conv import FuseBinaryConv
from rbnn_deploy.exporters.onnx.passes.hoist import HoistAboveMaxPool
from rbnn_deploy.exporters.onnx.passes.mean_as_product import MeanAsProduct
from rbnn_deploy.exporters.onnx.passes.place_activation import PlaceActivation
from rbnn_deploy.exporters.onnx.passes.prelu import PreluAsMinMax
from rbnn_deploy.exporters.onnx.passes.result import ExplainedPass, Note

SHAPE = (2, 6, 4, 8)
# Composed constants are rounded once instead of twice; no bit of these seeded cases flips by it.
TOLERANCE = 1e-5
Build = Callable[[PlainGraph, str], list[str]]


def plain(build: Build) -> ir.Model:
    graph = PlainGraph(SHAPE)
    return graph.model(build(graph, graph.binary("input")))


def apply(model: ir.Model, *passes: ExplainedPass) -> tuple[ir.Model, list[Note]]:
    copy = model.clone()
    notes = [note for one in passes for note in one(copy).notes]
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    for expected, found in zip(run(lowered(model), x), run(lowered(copy), x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
    return copy, notes


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph if node.op_type not in ("Constant", "Transpose")]


FUSED: dict[str, Build] = {
    "Mul per channel": lambda g, x: g.node("Mul", x, g.random(6, 1, 1)),
    "Mul from the left": lambda g, x: g.node("Mul", g.constant(0.5), x),
    "Add per channel": lambda g, x: g.node("Add", g.random(1, 6, 1, 1), x),
    "residual": lambda g, x: g.node("Add", x, "input"),
    "Relu": lambda g, x: g.node("Relu", x),
    "hardtanh": lambda g, x: g.node("Clip", x, g.constant(-1.0), g.constant(1.0)),
    "Clip from 0": lambda g, x: g.node("Clip", x, g.constant(0.0)),
    "all": lambda g, x: g.node(
        "Relu",
        g.node("Add", g.node("Mul", x, g.random(6, 1, 1))[0], g.node("Add", "input", g.random(6, 1, 1))[0])[
            0
        ],
    ),
}
LEFT: dict[str, tuple[Build, str]] = {
    "constant per pixel": (lambda g, x: g.node("Add", x, g.random(4, 8)), "not a constant per channel"),
    "constant of five axes": (
        lambda g, x: g.node("Add", x, g.random(1, 1, 6, 1, 1)),
        "",
    ),  # the layout keeps it away
    "its own output": (lambda g, x: g.node("Add", x, x), ""),
    "two residuals": (
        lambda g, x: g.node("Add", g.node("Add", x, "input")[0], g.node("Neg", "input")[0]),
        "it has a residual already",
    ),
    "residual of one pixel": (
        lambda g, x: g.node("Add", x, g.node("GlobalMaxPool", "input")[0]),
        "is not known to be the output's",
    ),
    "residual scaled": (
        lambda g, x: g.node("Mul", g.node("Add", x, "input")[0], g.random(6, 1, 1)),
        "it would scale the residual too",
    ),
    "relu6": (
        lambda g, x: g.node("Clip", x, g.constant(0.0), g.constant(6.0)),
        "neither hardtanh's nor relu's",
    ),
    "behind an activation": (
        lambda g, x: g.node("Add", g.node("Relu", x)[0], g.random(6, 1, 1)),
        "the layer ends with its relu",
    ),
    "a bound": (lambda g, x: g.node("Clip", g.constant(0.0), g.node("ReduceMax", x, keepdims=0)[0]), ""),
}


@pytest.mark.parametrize("name", FUSED)
def test_what_follows_a_layer_becomes_a_part_of_it(name: str) -> None:
    result, notes = apply(plain(FUSED[name]), ChannelsLast(), FuseBinaryConv())
    assert operators(result) == ["BinaryConv2d"]
    assert all(note.done for note in notes)
    assert notes


@pytest.mark.parametrize("name", LEFT)
def test_what_does_not_fit_stays_and_the_reason_is_said(name: str) -> None:
    build, reason = LEFT[name]
    model = plain(build)
    result, notes = apply(model, ChannelsLast(), FuseBinaryConv())
    assert len(operators(result)) > 1
    refusals = [note.text for note in notes if not note.done and note.text.startswith("not fused")]
    assert [reason in text for text in refusals] == ([True] if reason else [])


def pooled(g: PlainGraph, x: str, *, negative: bool, symmetric: bool = True) -> list[str]:
    (y,) = g.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    gamma = g.constant(np.where(np.arange(6) % 2, -0.5, 0.75) if negative else np.full(6, 0.75))
    (y,) = g.node("BatchNormalization", y, gamma, g.random(6), g.random(6), g.constant(np.full(6, 2.0)))
    return g.node("Clip", y, g.constant(-1.0 if symmetric else -0.5), g.constant(1.0))


@pytest.mark.parametrize("negative", [False, True])
def test_batch_norm_and_activation_are_hoisted_above_a_pool(negative: bool) -> None:
    model = plain(lambda g, x: pooled(g, x, negative=negative))
    result, notes = apply(model, HoistAboveMaxPool())
    assert [note.text for note in notes] == [
        "hoisted in front of it: BatchNormalization",
        "hoisted in front of it: Clip",
    ]
    result, _ = apply(model, HoistAboveMaxPool(), ChannelsLast(), FuseBinaryConv())
    # The pool is two maxima between three views.
    views = ["Reshape", "ReduceMax", "Reshape", "ReduceMax", "Reshape"]
    assert operators(result) == ["BinaryConv2d", *views, *(["Mul"] if negative else [])]


def test_bounds_that_are_not_symmetric_stay_behind_changed_signs() -> None:
    result, notes = apply(
        plain(lambda g, x: pooled(g, x, negative=True, symmetric=False)), HoistAboveMaxPool()
    )
    assert "Clip" in operators(result)[operators(result).index("MaxPool") :]
    assert "not symmetric" in notes[-1].text
    assert not notes[-1].done


def test_nothing_is_hoisted_above_a_pool_of_a_float_layer() -> None:
    graph = PlainGraph(SHAPE)
    (x,) = graph.node("Conv", "input", graph.random(6, 6, 3, 3), pads=[1, 1, 1, 1])
    model = graph.model(pooled(graph, x, negative=False))
    assert not HoistAboveMaxPool()(model).modified


def head(transposed: bool, alpha: float = 1.0, read_twice: bool = False) -> ir.Model:
    graph = PlainGraph(SHAPE)
    x = graph.binary("input")
    (flat,) = graph.node("Flatten", graph.node("GlobalMaxPool", x)[0])
    (norm,) = graph.node(
        "BatchNormalization", flat, *(graph.random(6) for _ in range(3)), graph.constant(np.ones(6))
    )
    weight = graph.random(3, 6) if transposed else graph.random(6, 3)
    logits = graph.node("Gemm", norm, weight, graph.random(3), transB=int(transposed), alpha=alpha)
    return graph.model([*logits, norm] if read_twice else logits)


def test_a_batch_norm_is_folded_into_the_linear_layer_behind_it() -> None:
    result, _ = apply(head(transposed=True), FoldBatchNorm(), ChannelsLast())
    assert "BatchNormalization" not in operators(result)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"transposed": False}, "not that of a linear layer"),
        ({"transposed": True, "alpha": 2.0}, "scaled"),
        ({"transposed": True, "read_twice": True}, "somebody else reads"),
    ],
)
def test_other_products_keep_their_batch_norm(options: dict, reason: str) -> None:
    result, notes = apply(head(**options), FoldBatchNorm(), ChannelsLast())
    assert "BatchNormalization" in operators(result)
    assert reason in notes[0].text


@pytest.mark.parametrize(
    ("kind", "shape", "axes", "keepdims", "reason"),
    [
        (TensorProto.FLOAT, ["N", 4, 4, 8], [1, 2], 1, ""),
        (TensorProto.DOUBLE, ["N", 4, 4, 8], [1, 2], 1, "not float32"),
        (TensorProto.INT32, ["N", 4, 4, 8], [1, 2], 1, "not float32"),
        (TensorProto.FLOAT, ["N", 4, 4, 8], [2, 3], 1, "not those of a channels-last map"),
        (TensorProto.FLOAT, ["N", 4, 4, 8], [1, 2], 0, "the axes are not kept"),
        (TensorProto.FLOAT, ["N", "H", 4, 8], [1, 2], 1, "size is not known"),
        (TensorProto.FLOAT, ["N", 32, 32, 8], [1, 2], 1, "the map is large"),
    ],
)
def test_only_small_float_means_become_products(
    kind: int, shape: list, axes: list[int], keepdims: int, reason: str
) -> None:
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=keepdims)],
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.array(axes, np.int64), "axes")],
    )
    model = ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    result = MeanAsProduct()(model)
    assert result.modified is (not reason)
    assert [reason in note.text for note in result.notes] == [True]
    assert ("MatMul" in operators(model)) is (not reason)


def test_prelu_keeps_its_bits_as_maximum_minimum_and_product() -> None:
    graph = PlainGraph(SHAPE)
    model = graph.model(graph.node("PRelu", "input", graph.random(6, 1, 1)))
    copy = model.clone()
    assert PreluAsMinMax()(copy).modified
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    x[0, 0, 0, :4] = (np.inf, -np.inf, np.nan, 0.0)
    (expected,), (found,) = run(model, x), run(copy, x)
    np.testing.assert_array_equal(found, expected)
    assert operators(copy) == ["Min", "Mul", "Relu", "Add"]


def test_prelu_with_endless_slopes_stays() -> None:
    graph = PlainGraph(SHAPE)
    model = graph.model(graph.node("PRelu", "input", graph.constant(np.full((6, 1, 1), np.inf))))
    result = PreluAsMinMax()(model)
    assert not result.modified
    assert "not finite" in result.notes[0].text


def stem(activation: str, *, pool_first: bool, stride: int = 2) -> ir.Model:
    graph = PlainGraph(SHAPE)
    (x,) = graph.node("Conv", "input", graph.random(6, 6, 3, 3), pads=[1, 1, 1, 1])
    bounds = [graph.constant(-1.0), graph.constant(1.0)] if activation == "Clip" else []
    steps = [("MaxPool", [], {"kernel_shape": [2, 2], "strides": [stride, stride]}), (activation, bounds, {})]
    for op_type, inputs, attributes in steps if pool_first else steps[::-1]:
        (x,) = graph.node(op_type, x, *inputs, **attributes)
    return graph.model([x])


@pytest.mark.parametrize("pool_first", [False, True])
@pytest.mark.parametrize(
    ("activation", "quantised", "stride", "order"),
    [
        ("Clip", False, 2, ["Conv", "MaxPool", "Clip"]),
        ("Clip", True, 2, ["Conv", "Clip", "MaxPool"]),
        ("Relu", False, 2, ["Conv", "Relu", "MaxPool"]),
        ("Relu", True, 2, ["Conv", "Relu", "MaxPool"]),
    ],
)
def test_activations_stand_where_they_cost_least(
    pool_first: bool, activation: str, quantised: bool, stride: int, order: list[str]
) -> None:
    model = stem(activation, pool_first=pool_first, stride=stride)
    copy = model.clone()
    convolutions = frozenset(node for node in copy.graph if node.op_type == "Conv" and quantised)
    PlaceActivation(convolutions)(copy)
    assert operators(copy) == order
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    np.testing.assert_array_equal(run(copy, x)[0], run(model, x)[0])


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (["N", 2], ["N", 2], True),
        (["N", 2], ["M", 2], False),
        ([None, 2], [None, 2], False),
        (None, None, False),
        (["N", 2], None, False),
    ],
)
def test_dimensions_without_a_name_equal_none(left: list | None, right: list | None, same: bool) -> None:
    values = [ir.Value(name="v", shape=None if s is None else ir.Shape(s)) for s in (left, right)]
    assert same_shape(*values) is same


def test_passes_reach_graphs_inside_nodes() -> None:
    graph = PlainGraph(SHAPE)
    inner = ir.to_proto(graph.model([graph.binary("input")])).graph
    branch = onnx.GraphProto()
    branch.CopyFrom(inner)
    del branch.input[:]
    condition = numpy_helper.from_array(np.array(True), "condition")
    outer = helper.make_graph(
        [helper.make_node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch)],
        "outer",
        list(inner.input),
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
        [condition],
    )
    model = ir.from_proto(helper.make_model(outer, opset_imports=[helper.make_opsetid("", 20)]))
    assert ChannelsLast()(model).modified
    kinds = [node.domain for graph in model.graphs() for node in graph if node.op_type == "BinaryConv2d"]
    assert kinds == ["ai.rbnn", "ai.rbnn"]
