"""Bytes alive at each node, counted by hand."""

import onnx
import pytest
from onnx import TensorProto, helper

from rbnn_deploy.inspecting import NetworkSummary, inspect_onnx
from rbnn_deploy.inspecting.activation_memory import ActivationMemory, activation_memory
from rbnn_deploy.models import EMBEDDED_MODEL

ROW = 4 * 8  # bytes of a value of eight floats


def model_of(*nodes: onnx.NodeProto, shape: tuple[int | str, ...] = ("N", 8)) -> onnx.ModelProto:
    """A graph from `x` to `y`."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph(list(nodes), "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def relu(x: str, y: str) -> onnx.NodeProto:
    return helper.make_node("Relu", [x], [y], name=f"to_{y}")


def test_a_chain_holds_two_values() -> None:
    memory = activation_memory(model_of(relu("x", "a"), relu("a", "b"), relu("b", "y")))
    assert memory == ActivationMemory({"a": 2 * ROW, "b": 2 * ROW, "y": 2 * ROW}, 2 * ROW, "to_a")


def test_a_residual_lives_until_it_is_added() -> None:
    add = helper.make_node("Add", ["x", "b"], ["y"], name="sum")
    memory = activation_memory(model_of(relu("x", "a"), relu("a", "b"), add))
    assert memory == ActivationMemory({"a": 2 * ROW, "b": 3 * ROW, "y": 3 * ROW}, 3 * ROW, "to_b")


def test_a_view_is_the_memory_of_its_source() -> None:
    flat = helper.make_node("Flatten", ["a"], ["f"])
    add = helper.make_node("Add", ["f", "b"], ["y"])
    memory = activation_memory(model_of(relu("x", "a"), flat, relu("x", "b"), add))
    # `a` lives on as `f` until the sum.
    assert memory is not None
    assert memory.at_node == {"a": 2 * ROW, "f": 2 * ROW, "b": 3 * ROW, "y": 3 * ROW}


def test_a_graph_inside_a_node_reads_values_outside() -> None:
    inner = helper.make_graph([relu("a", "i")], "inner", [], [_float("i")])
    true = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    condition = helper.make_node("Constant", [], ["c"], value=true)
    branch = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    memory = activation_memory(model_of(relu("x", "a"), relu("x", "b"), condition, branch))
    assert memory is not None
    assert memory.at_node["y"] == 2 * ROW  # `a` and `y`; `b` was needed by nobody


def test_integers_take_their_own_size() -> None:
    cast = helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT8)
    back = helper.make_node("Cast", ["i"], ["y"], to=TensorProto.FLOAT)
    memory = activation_memory(model_of(cast, back))
    assert memory is not None
    assert memory.at_node == {"i": ROW + 8, "y": ROW + 8}


def test_unknown_sizes_are_not_guessed() -> None:
    assert activation_memory(model_of(relu("x", "y"), shape=("N", "M"))) is None


def test_the_embedded_model() -> None:
    summary = inspect_onnx(EMBEDDED_MODEL)
    # Two maps of 16 channels and 32 x 32 pixels, in float32; the residual is the layer's own input.
    assert summary.peak_activations == 2 * 16 * 32 * 32 * 4
    binary = [layer.activations for layer in summary.layers if layer.kind == "binary"]
    assert binary[:6] == [131_072] * 6
    assert binary[-1] == 2 * 64 * 8 * 8 * 4


def _float(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 8])


@pytest.mark.parametrize("name", ["peak_activations", "peak_node"])
def test_a_checkpoint_has_none(name: str) -> None:
    assert getattr(NetworkSummary("t", {}, (), 0, 0, 0), name) is None
