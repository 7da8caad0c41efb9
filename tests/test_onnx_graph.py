"""Questions to small graphs, with answers known beforehand."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from support.small_models import LAYERS, small_model

from rbnn_deploy import onnx_graph
from rbnn_deploy.shape_inference import static_shapes


def example() -> onnx.ModelProto:
    """Adds a stored and a constant value to x; as old files do, it names the stored one among its inputs."""
    value = numpy_helper.from_array(np.float32([1, 2]), "inner")
    nodes = [
        helper.make_node("Constant", [], ["c"], value=value),
        helper.make_node("Add", ["x", "w"], ["sum"], name="first"),
        helper.make_node("Add", ["sum", "c"], ["y"], name="second"),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in ("w", "x")]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    stored = numpy_helper.from_array(np.float32([[3, 4]]), "w")
    model = helper.make_model(helper.make_graph(nodes, "example", inputs, [output], [stored]))
    helper.set_model_props(model, {"a": "b"})
    return model


def test_constants_are_initializers_and_constant_nodes() -> None:
    found = onnx_graph.constants(example().graph)
    assert {name: value.tolist() for name, value in found.items()} == {"w": [[3, 4]], "c": [1, 2]}
    assert onnx_graph.constant_tensors(example().graph).keys() == found.keys()


def test_inputs_without_stored_values() -> None:
    assert [value.name for value in onnx_graph.real_inputs(example().graph)] == ["x"]


def test_producers_and_uses() -> None:
    graph = example().graph
    assert {value: node.name for value, node in onnx_graph.producers(graph).items()} == {
        "c": "",
        "sum": "first",
        "y": "second",
    }
    assert onnx_graph.uses(graph) == {"x": 1, "w": 1, "sum": 1, "c": 1, "y": 1}


def test_shapes() -> None:
    shapes = static_shapes(example())
    assert (shapes["x"], shapes["y"]) == ((None, 2), (None, 2))
    assert "c" not in shapes or shapes["c"] == (2,)


def test_binary_convolutions_are_of_our_domain() -> None:
    model = small_model()
    assert [node.name for node in model.graph.node if onnx_graph.is_binary_conv(node)] == list(LAYERS)
    for node in model.graph.node:
        node.domain = "somebody.else"
    assert not any(map(onnx_graph.is_binary_conv, model.graph.node))


def test_properties() -> None:
    assert onnx_graph.properties(example()) == {"a": "b"}
