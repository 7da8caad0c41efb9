"""Pairs of Relus with slopes become one choice between slopes, and a part of a binary layer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.plain_graphs import PlainGraph, lowered, run
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.exporters.onnx.passes.relu_pair import ReluPairAsSlopes
from rbnn_deploy.pytorch.layers import SignConv2d

SHAPE = (2, 6, 4, 8)
Build = Callable[[PlainGraph], list[str]]


def pair(graph: PlainGraph, x: str, above: str, below: str, negated: str | None = None) -> str:
    (left,) = graph.node("Mul", above, graph.node("Relu", x)[0])
    (minus,) = graph.node("Neg", negated or x)
    (right,) = graph.node("Mul", graph.node("Relu", minus)[0], below)
    return graph.node("Sub", left, right)[0]


def applied(build: Build) -> list[str]:
    graph = PlainGraph(SHAPE)
    model = graph.model(build(graph))
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    x[0, 0, 0, :2] = 0, -0.0
    expected = run(lowered(model), x)
    ReluPairAsSlopes()(model)
    for want, found in zip(expected, run(lowered(model), x), strict=True):
        np.testing.assert_array_equal(found, want)
    return [node.op_type for node in model.graph if node.op_type in ("Sub", "Where")]


def test_a_pair_becomes_a_choice() -> None:
    assert applied(lambda g: [pair(g, "input", g.random(6, 1, 1), g.random(1, 6, 1, 1))]) == ["Where"]
    assert applied(lambda g: [pair(g, "input", g.constant(1.5), g.random(6, 1, 1))]) == ["Where"]


@pytest.mark.parametrize(
    "build",
    [
        lambda g: [pair(g, "input", g.constant(np.inf), g.constant(1.0))],
        lambda g: [pair(g, "input", g.constant(1.0), g.constant(1.0), negated=g.node("Abs", "input")[0])],
        lambda g: [pair(g, "input", g.node("Exp", "input")[0], g.constant(1.0))],
        lambda g: g.node("Sub", "input", g.node("Relu", "input")[0]),
    ],
    ids=["not finite", "another input", "computed", "one Relu"],
)
def test_anything_else_stays(build: Build) -> None:
    assert applied(build) == ["Sub"]


class Published(nn.Module):
    """The activation as AdaBin's code writes it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.above = nn.Parameter(torch.rand(channels) + 0.5)
        self.below = nn.Parameter(torch.randn(channels))

    def forward(self, x: Tensor) -> Tensor:
        above, below = self.above.view(1, -1, 1, 1), self.below.view(1, -1, 1, 1)
        return above * torch.relu(x) - below * torch.relu(-x)


def test_a_users_network_has_one_node_per_layer(tmp_path: Path) -> None:
    torch.manual_seed(4)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        SignConv2d(8, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        Published(8),
        SignConv2d(8, 8, 3, padding=1),
        Published(8),
        nn.Flatten(),
        nn.Linear(512, 3),
    ).eval()
    metadata = rbnn_deploy.ModelMetadata("mine", (3, 8, 8), mean=(0,) * 3, std=(1,) * 3)
    result = rbnn_deploy.export(network, tmp_path / "m.onnx", metadata=metadata)
    assert result.nodes["GeneralBinaryConv2d"] == 2
    assert not {"Relu", "Neg", "Sub", "Where"} & set(result.nodes)
