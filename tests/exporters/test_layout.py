"""The layout pass: operators compute the same channels-last; Transposes never become more or larger."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxscript import ir
from support.plain_graphs import PlainGraph, lowered, run, transposes

from rbnn_deploy.exporters.onnx.layout import ChannelsLast
from rbnn_deploy.exporters.onnx.layout.handlers import HANDLERS
from rbnn_deploy.exporters.onnx.layout.handlers.elementwise import UNARY

SHAPE = (2, 6, 4, 8)
Build = Callable[[PlainGraph, str], list[str]]


def one(op_type: str, *operands: Callable[[PlainGraph], str], **attributes: object) -> Build:
    """An operator whose first input is the map; the others are made by functions of the graph."""
    return lambda g, x: g.node(op_type, x, *(make(g) for make in operands), **attributes)


def floats(array: object) -> Callable[[PlainGraph], str]:
    return lambda g: g.constant(array)


def ints(*values: int) -> Callable[[PlainGraph], str]:
    return lambda g: g.constant(values, np.int64)


def random(*shape: int) -> Callable[[PlainGraph], str]:
    return lambda g: g.random(*shape)


def absent(g: PlainGraph) -> str:
    return ""


def shuffle(g: PlainGraph, x: str) -> list[str]:
    n, c, h, w = g.shapes[x]
    split = g.node("Reshape", x, g.constant([n, 3, c // 3, h, w], np.int64))
    swapped = g.node("Transpose", split[0], perm=[0, 2, 1, 3, 4])
    return g.node("Reshape", swapped[0], g.constant([n, c, h, w], np.int64))


def gate(g: PlainGraph, x: str) -> list[str]:
    """Squeeze and excitation: a map of one pixel scales a whole map."""
    (pooled,) = g.node("GlobalAveragePool", x)
    (mixed,) = g.node("Conv", pooled, g.random(6, 6, 1, 1), g.random(6))
    (scale,) = g.node("HardSigmoid", mixed)
    return g.node("Mul", x, scale)


def batch_maximum(g: PlainGraph, x: str) -> str:
    return g.node("ReduceMax", x, g.constant([0], np.int64), keepdims=0)[0]


def half(g: PlainGraph, x: str) -> list[str]:
    """The first half of the channels."""
    channels = g.shapes[x][1]
    return g.node("Slice", x, *(g.constant([n], np.int64) for n in (0, channels - channels // 2, 1)))


# Not float in and float out, or younger than the opset here; the handler is the same.
OTHER_TYPES = {"BitwiseNot", "Not", "Swish", "IsInf", "IsNaN", "Cast"}
MOVED: dict[str, Build] = {
    "Add map": lambda g, x: g.node("Add", x, g.node("Neg", x)[0]),
    "Add vector": one("Add", random(6, 1, 1)),
    "Add whole map": one("Add", random(1, 6, 4, 8)),
    "Sub row": one("Sub", random(8)),
    "Mul number": one("Mul", floats(0.5)),
    "Max three": lambda g, x: g.node("Max", x, g.constant(0.0), g.random(6, 1, 1)),
    "Clip": one("Clip", floats(-0.5), absent),
    "Clip to one bound": one("Clip", absent, floats(0.5)),
    "PRelu": one("PRelu", random(6, 1, 1)),
    "Where": lambda g, x: g.node("Where", g.node("Greater", x, g.constant(0.0))[0], x, g.random(1, 6, 1, 1)),
    "Concat": lambda g, x: g.node("Concat", x, g.node("Relu", x)[0], axis=1),
    "Concat from behind": lambda g, x: g.node("Concat", x, g.node("Relu", x)[0], axis=-1),
    "Split": lambda g, x: g.node(
        "Concat", *g.node("Split", x, g.constant([2, 4], np.int64), axis=1, outputs=2)[::-1], axis=1
    ),
    "Slice": one("Slice", ints(1, 0), ints(5, 8), ints(1, -1), ints(2, 3)),
    "Slice without axes": one("Slice", ints(0, 1, 1), ints(2, 5, 3)),
    "Pad": one("Pad", ints(0, 1, 2, 0, 0, 3, 1, 2), floats(0.25)),
    "Pad two axes": one("Pad", ints(1, 2, 0, 1), absent, ints(3, 1), mode="reflect"),
    "Resize by scales": one(
        "Resize", absent, floats([1, 1, 2, 2]), mode="nearest", coordinate_transformation_mode="asymmetric"
    ),
    "Resize to sizes": one("Resize", absent, absent, ints(2, 6, 8, 12), mode="linear"),
    "Resize two axes": one("Resize", absent, absent, ints(8, 12), mode="nearest", axes=[2, 3]),
    "Expand": lambda g, x: g.node("Expand", g.node("GlobalMaxPool", x)[0], g.constant(SHAPE, np.int64)),
    "Tile": one("Tile", ints(1, 2, 1, 3)),
    "Gather": one("Gather", ints(5, 0, 3), axis=1),
    "CumSum": one("CumSum", lambda g: g.constant(2, np.int64)),
    "Softmax": one("Softmax", axis=1),
    "ReduceMax": one("ReduceMax", ints(1), keepdims=1),
    "ReduceMax of all": one("ReduceMax"),
    "ReduceMax of none": one("ReduceMax", noop_with_empty_axes=1),
    "GlobalMaxPool": one("GlobalMaxPool"),
    "MaxPool tiles": one("MaxPool", kernel_shape=[2, 4], strides=[2, 4]),
    "Conv 1 x 1": one("Conv", random(5, 6, 1, 1), random(5), strides=[2, 1]),
    "Conv depthwise 1 x 1": one("Conv", random(6, 1, 1, 1), random(6), group=6, strides=[1, 2]),
    "BatchNormalization": lambda g, x: g.node(
        "BatchNormalization", x, g.random(6), g.random(6), g.random(6), g.constant(np.full(6, 2.0))
    ),
    "channel shuffle": shuffle,
    "gate": gate,
}
LEAVE: dict[str, Build] = {  # they read a map, and what they return has no layout
    "Flatten": lambda g, x: g.node("Flatten", g.node("GlobalMaxPool", x)[0]),
    "Reshape": lambda g, x: g.node("Reshape", g.node("GlobalMaxPool", x)[0], g.constant([0, 6], np.int64)),
    "Squeeze": lambda g, x: g.node("Squeeze", g.node("GlobalMaxPool", x)[0], g.constant([2, 3], np.int64)),
    "ReduceMax to a vector": one("ReduceMax", ints(2, -1), keepdims=0),
    "ReduceMax of channels": one("ReduceMax", ints(1), keepdims=0),
    "ArgMax of channels": one("ArgMax", axis=1, keepdims=0),
}
STAY: dict[str, Build] = {
    "overlapping pool": one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "average pool": one("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    "Conv 3 x 3": one("Conv", random(6, 6, 3, 3), pads=[1, 1, 1, 1]),
    "depthwise Conv 3 x 3": one("Conv", random(6, 1, 3, 3), group=6, pads=[1, 1, 1, 1]),
    "somebody's Transpose": one("Transpose", perm=[0, 3, 1, 2]),
    "LRN": one("LRN", size=3),
    "cubic Resize": one("Resize", absent, floats([1, 1, 2, 2]), mode="cubic"),
    "operand of another rank": lambda g, x: g.node("Add", x, batch_maximum(g, x)),
    "Flatten of a map": lambda g, x: g.node("Flatten", x),
}  # fmt: skip


def build(between: Build, shape: tuple[int, ...] = SHAPE) -> ir.Model:
    graph = PlainGraph(shape)
    (y,) = between(graph, graph.binary("input"))
    outputs = [y] if len(graph.shapes[y]) != 4 else [graph.binary(y, 3)]
    return graph.model(outputs)


def check_same(model: ir.Model, moved: ir.Model, shape: tuple[int, ...] = SHAPE) -> None:
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    for expected, found in zip(run(lowered(model), x), run(moved, x), strict=True):
        # Products and sums in another order, and no bit of these seeded cases that flips by it.
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def moved(model: ir.Model) -> ir.Model:
    copy = model.clone()
    ChannelsLast()(copy)
    return copy


@pytest.mark.parametrize("name", MOVED)
def test_it_runs_channels_last(name: str) -> None:
    model = build(MOVED[name])
    result = moved(model)
    check_same(model, result)
    # One Transpose into the region, one out of it; a map of one pixel needs none, a shuffle's has five axes.
    perms = [tuple(n.attributes["perm"].as_ints()) for n in result.graph if n.op_type == "Transpose"]
    last = [] if name in ("ReduceMax of all", "GlobalMaxPool") else [(0, 3, 1, 2)]
    assert [perm for perm in perms if len(perm) == 4] == [(0, 2, 3, 1), *last]


@pytest.mark.parametrize("name", LEAVE)
def test_its_result_needs_no_transpose(name: str) -> None:
    model = build(LEAVE[name])
    result = moved(model)
    check_same(model, result)
    assert len(transposes(result)) == 1


@pytest.mark.parametrize("name", STAY)
def test_it_stays_channels_first_and_says_why(name: str) -> None:
    model = build(STAY[name])
    copy = model.clone()
    notes = ChannelsLast()(copy).notes
    check_same(model, copy)
    assert [note.done for note in notes] == [False] * len(notes)
    assert notes
    assert all("stays channels-first" in note.text for note in notes)
    assert len(transposes(copy)) <= len(transposes(lowered(model)))


@pytest.mark.parametrize("op_type", sorted(set(UNARY) - OTHER_TYPES))
def test_elementwise_operators_move(op_type: str) -> None:
    model = build(one(op_type))
    result = moved(model)
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    (expected,), (found,) = run(lowered(model), x), run(result, x)
    np.testing.assert_array_equal(found, expected)
    assert len(transposes(result)) == 2


def test_every_handler_is_tested() -> None:
    graphs = [build(between).graph for between in (*MOVED.values(), *LEAVE.values())]
    tested = {node.op_type for graph in graphs for node in graph}
    untested = set(HANDLERS) - tested - set(UNARY)
    # The same handler serves each of these and one that is tested.
    assert untested <= {
        "And", "ArgMin", "AveragePool", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal",
        "GreaterOrEqual", "Hardmax", "Less", "LessOrEqual", "LogSoftmax", "Mean", "Min", "Mod", "Or",
        "Pow", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean", "ReduceMin",
        "ReduceProd", "ReduceSum", "ReduceSumSquare", "Sum", "Xor",
    }  # fmt: skip


# ---- whole graphs ----

Step = tuple[str, int, int]
EXACT = (
    "Add", "Relu", "vector", "Concat", "Slice", "Pad", "MaxPool", "tiles", "Neg", "binary", "Transpose",
    "shuffle",
)  # fmt: skip


def add_step(g: PlainGraph, maps: list[str], step: Step) -> None:
    kind, first, second = step
    x, other = maps[first % len(maps)], maps[second % len(maps)]
    _, c, h, w = g.shapes[x]
    match kind:
        case "Add":
            y = g.node("Add", x, other if g.shapes[other] == g.shapes[x] else x)
        case "vector":
            y = g.node("Mul", x, g.random(c, 1, 1))
        case "Concat":
            y = g.node("Concat", x, other if g.shapes[other][2:] == (h, w) else x, axis=1) if c < 20 else [x]
        case "Slice":
            y = half(g, x)
        case "Pad":
            y = g.node("Pad", x, g.constant([0, 0, 0, 1, 0, 0, 0, 1], np.int64))
        case "MaxPool":
            y = g.node("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        case "tiles":
            y = g.node("MaxPool", x, kernel_shape=[2, 1], strides=[2, 1]) if h % 2 == 0 else [x]
        case "binary":
            y = [g.binary(x)]
        case "Transpose":
            y = g.node("Transpose", x, perm=[0, 1, 3, 2])
        case "shuffle":
            y = shuffle(g, x) if c % 3 == 0 else [x]
        case _:
            y = g.node(kind, x)
    maps.extend(y)


@given(
    st.lists(
        st.tuples(st.sampled_from(EXACT), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=14
    ),
    st.integers(1, 3),
)
@settings(max_examples=150)
def test_any_graph_computes_the_same_bits_with_no_more_transposes(steps: list[Step], outputs: int) -> None:
    graph = PlainGraph(SHAPE)
    maps = ["input", graph.binary("input")]
    for step in steps:
        add_step(graph, maps, step)
    model = graph.model(list(dict.fromkeys(maps[-outputs:]) - {"input": 0}.keys()) or [maps[1]])
    plain, result = lowered(model), moved(model)
    x = np.random.default_rng(2).standard_normal(SHAPE).astype(np.float32)
    for expected, found in zip(run(plain, x), run(result, x), strict=True):
        np.testing.assert_array_equal(found, expected)
    before, after = transposes(plain), transposes(result)
    assert len(after) <= len(before)
    assert sum(after) <= sum(before)


def test_a_graph_without_binary_layers_is_left_alone() -> None:
    graph = PlainGraph(SHAPE)
    model = graph.model(graph.node("Relu", "input"))
    assert not ChannelsLast()(model).modified
