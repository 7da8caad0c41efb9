"""Views and Transposes around binary linear layers: what is dropped, what is left, and that values stay."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnxscript import ir
from support.plain_graphs import PlainGraph, lowered, run

from rbnn_deploy.exporters.onnx.passes.hoist_above_view import HoistAboveView
from rbnn_deploy.exporters.onnx.passes.views import DropTransposesOfViews

Step = tuple[str, list[int]]


def chain(shape: list[int], steps: list[Step]) -> ir.Model:
    """A graph of one chain, with all shapes."""
    nodes, constants = [], []
    for i, (kind, numbers) in enumerate(steps):
        x, y = f"v{i}", f"v{i + 1}"
        if kind == "Transpose":
            nodes.append(helper.make_node(kind, [x], [y], name=y, perm=numbers))
        else:
            constants.append(numpy_helper.from_array(np.array(numbers, np.int64), f"axes{i}"))
            nodes.append(helper.make_node(kind, [x, f"axes{i}"], [y], name=y))
    source = helper.make_tensor_value_info("v0", TensorProto.FLOAT, shape)
    result = helper.make_tensor_value_info(f"v{len(steps)}", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "chain", [source], [result], constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True))


def value(model: ir.Model, x: np.ndarray) -> np.ndarray:
    content = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"v0": x})[0]
    return result


@st.composite
def chains(draw: st.DrawFn) -> tuple[list[int], list[Step]]:
    shape = draw(st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=4))
    sizes, steps = list(shape), []
    for _ in range(draw(st.integers(1, 5))):
        ones = [axis for axis, size in enumerate(sizes) if size == 1]
        kind = draw(st.sampled_from(["Unsqueeze"] + ["Transpose"] * bool(sizes) + ["Squeeze"] * bool(ones)))
        if kind == "Transpose":
            perm = draw(st.permutations(range(len(sizes))))
            sizes, numbers = [sizes[axis] for axis in perm], list(perm)
        elif kind == "Unsqueeze":
            place = draw(st.integers(0, len(sizes)))
            sizes.insert(place, 1)
            numbers = [draw(st.sampled_from([place, place - len(sizes)]))]
        else:
            place = draw(st.sampled_from(ones))
            numbers = [draw(st.sampled_from([place, place - len(sizes)]))]
            del sizes[place]
        steps.append((kind, numbers))
    return shape, steps


@settings(max_examples=150)
@given(chains())
def test_values_stay_and_needless_transposes_go(case: tuple[list[int], list[Step]]) -> None:
    shape, steps = case
    model = chain(shape, steps)
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    expected = value(model, x)
    DropTransposesOfViews()(model)
    found = value(model, x)
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)
    if np.array_equal(expected.reshape(-1), x.reshape(-1)):  # no value has moved
        assert "Transpose" not in [node.op_type for node in model.graph]


ROWS: list[Step] = [("Transpose", [0, 2, 1]), ("Unsqueeze", [3]), ("Transpose", [0, 2, 3, 1])]


def test_rows_become_pixels_by_one_view() -> None:
    model = chain([2, 3, 4], ROWS)
    (note,) = DropTransposesOfViews()(model).notes
    assert [node.op_type for node in model.graph if node.op_type != "Constant"] == ["Unsqueeze"]
    assert note.text == "3 views and Transposes are one view"


def test_a_transpose_that_moves_values_stays() -> None:
    model = chain([2, 3, 4], ROWS[:2])
    assert not DropTransposesOfViews()(model).modified
    assert [node.op_type for node in model.graph] == ["Transpose", "Unsqueeze"]


def test_a_value_that_others_read_stays() -> None:
    model = chain([2, 3, 4], ROWS)
    middle = next(node for node in model.graph if node.op_type == "Unsqueeze")
    model.graph.outputs.append(middle.outputs[0])
    assert not DropTransposesOfViews()(model).modified


def linear(*behind: str) -> ir.Model:
    """A binary layer of one pixel, its view as rows, and operators behind it."""
    graph = PlainGraph((2, 6, 1, 1))
    (x,) = graph.node("Flatten", graph.binary("input", 5))
    for kind in behind:
        more = {
            "BatchNormalization": [
                graph.random(5),
                graph.random(5),
                graph.random(5),
                graph.constant([0.5] * 5),
            ],
            "Clip": [graph.constant(-1.0), graph.constant(1.0)],
        }.get(kind, [])
        (x,) = graph.node(kind, x, *more)
    return graph.model([x])


@pytest.mark.parametrize("behind", [["BatchNormalization"], ["Relu"], ["BatchNormalization", "Clip"]])
def test_what_follows_rows_is_brought_to_the_map(behind: list[str]) -> None:
    model = linear(*behind)
    x = np.random.default_rng(1).standard_normal((2, 6, 1, 1)).astype(np.float32)
    expected = run(lowered(model), x)
    notes = HoistAboveView()(model).notes
    assert [node.op_type for node in model.graph if node.op_type != "Constant"][1:] == [*behind, "Flatten"]
    assert len(notes) == len(behind)
    assert np.array_equal(run(lowered(model), x)[0], expected[0])


def test_other_operators_stay_behind_the_view() -> None:
    assert not HoistAboveView()(linear("Softmax")).modified
