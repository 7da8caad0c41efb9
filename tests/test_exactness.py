"""Which nodes of a model may give other values on another processor."""

import onnx
import pytest
from onnx import TensorProto, helper

from rbnn_deploy.exactness import EXACT, inexact_nodes, is_exact


def graph_of(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_graph(list(nodes), "graph", [x], [y])


@pytest.mark.parametrize(
    "op_type", ["Conv", "MatMul", "Gemm", "Sigmoid", "Exp", "ReduceMean", "Softmax", "Sqrt"]
)
def test_sums_of_products_and_functions_of_libraries_are_not_exact(op_type: str) -> None:
    graph = graph_of(helper.make_node(op_type, ["x"], ["y"], name="n"))
    assert [node.name for node in inexact_nodes(graph)] == ["n"]
    assert not is_exact(helper.make_model(graph))


@pytest.mark.parametrize("op_type", ["Add", "Div", "MaxPool", "Clip", "PRelu", "Transpose", "Slice"])
def test_what_rounds_once_moves_or_chooses_is_exact(op_type: str) -> None:
    assert is_exact(helper.make_model(graph_of(helper.make_node(op_type, ["x"], ["y"]))))


def test_operators_of_ours_are_exact_and_those_of_others_are_not() -> None:
    for domain, expected in (("ai.rbnn", True), ("com.microsoft", False)):
        node = helper.make_node("Add", ["x"], ["y"], domain=domain)
        assert is_exact(helper.make_model(graph_of(node))) is expected


def test_graphs_inside_nodes_are_looked_at() -> None:
    inside = graph_of(helper.make_node("Tanh", ["x"], ["y"], name="inner"))
    node = helper.make_node("If", ["x"], ["y"], then_branch=inside, else_branch=graph_of())
    assert [node.name for node in inexact_nodes(graph_of(node))] == ["inner"]


def test_every_name_of_the_table_is_an_operator_of_onnx() -> None:
    assert {schema.name for schema in onnx.defs.get_all_schemas()} >= EXACT
