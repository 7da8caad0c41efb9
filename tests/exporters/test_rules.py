"""Single rewrite rules: where they apply, where they must not, and that the graph computes the same."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from onnxscript import ir
from torch import Tensor, nn

from rbnn_deploy.exporters.onnx import build_model
from rbnn_deploy.exporters.onnx.optimize import to_channels_last
from rbnn_deploy.exporters.onnx.rules.common import same_shape
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d

TOLERANCE = 2e-5  # float layers sum in another order than torch; no bit of these seeded cases flips


class DenseBlocks(nn.Module):
    """Every layer reads the float stem's output and all binary layers before it; a transition in between."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layers = nn.ModuleList(RotatedBinaryConv2d(8 * i, 8, 3, padding=1) for i in range(1, 6))
        self.head = nn.Linear(48, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for i, layer in enumerate(self.layers):
            x = torch.cat([x, layer(x)], 1)
            if i == 2:
                x = F.avg_pool2d(x, (2, 3))
        return self.head(x.mean((2, 3)))


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


def test_dense_blocks_stay_channels_last() -> None:
    torch.manual_seed(0)
    network = DenseBlocks().eval()
    model, _ = build_model(network, ModelMetadata("dense", (3, 12, 12)))
    x = np.random.default_rng(0).normal(size=(3, 3, 12, 12)).astype(np.float32)
    with torch.no_grad():
        want = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run(model, x), want, atol=TOLERANCE, rtol=TOLERANCE)
    transposes = [list(n.attribute[0].ints) for n in model.graph.node if n.op_type == "Transpose"]
    assert transposes == [[0, 2, 3, 1]]
    assert not any(node.op_type == "AveragePool" for node in model.graph.node)


def transposed_then(node: onnx.NodeProto, shape: list[int | str], rank: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Transpose", ["input"], ["t"], perm=[0, 3, 1, 2]), node],
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


@pytest.mark.parametrize(("axis", "dropped"), [(0, False), (1, True), (2, False), (3, False), (-3, True)])
def test_a_transpose_in_front_of_flatten_goes_only_for_the_channel_axis(axis: int, dropped: bool) -> None:
    model = transposed_then(helper.make_node("Flatten", ["t"], ["y"], axis=axis), ["N", 1, 1, 6], 2)
    x = np.random.default_rng(1).normal(size=(4, 1, 1, 6)).astype(np.float32)
    graph = ir.from_proto(model)
    to_channels_last(graph)
    assert [node.op_type for node in graph.graph] == (["Flatten"] if dropped else ["Transpose", "Flatten"])
    np.testing.assert_array_equal(run(ir.to_proto(graph), x), run(model, x))


@pytest.mark.parametrize(
    ("attributes", "rewritten"),
    [
        ({"kernel_shape": [2, 3], "strides": [2, 3]}, True),
        ({"kernel_shape": [4, 6], "strides": [4, 6]}, True),
        ({"kernel_shape": [2, 2]}, False),
        ({"kernel_shape": [3, 3], "strides": [3, 3], "ceil_mode": 1}, False),
        ({"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]}, False),
    ],
    ids=["tiles", "whole map", "overlapping", "partial", "padded"],
)
def test_average_pools_that_tile_the_map_become_means(attributes: dict, rewritten: bool) -> None:
    model = transposed_then(helper.make_node("AveragePool", ["t"], ["y"], **attributes), ["N", 4, 6, 5], 4)
    x = np.random.default_rng(2).normal(size=(3, 4, 6, 5)).astype(np.float32)
    graph = ir.from_proto(model)
    to_channels_last(graph)
    assert any(node.op_type == "ReduceMean" for node in graph.graph) is rewritten
    assert any(node.op_type == "AveragePool" for node in graph.graph) is not rewritten
    # At most 24 values in another order.
    np.testing.assert_allclose(run(ir.to_proto(graph), x), run(model, x), rtol=1e-5, atol=1e-6)


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
