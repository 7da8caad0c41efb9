"""Inputs that are exactly their threshold: counted, and named where published code takes them for 0."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import rbnn_deploy
from rbnn_deploy.comparing.report import LayerReport
from rbnn_deploy.comparing.ties import describe_ties
from rbnn_deploy.pytorch.layers import SignConv2d
from rbnn_deploy.pytorch.methods import BiRealConv2d

METADATA = rbnn_deploy.ModelMetadata("network", (3, 8, 8), mean=(0, 0, 0), std=(1, 1, 1))
SAID = "inputs of binary layers are exactly their threshold"


class BehindRelu(nn.Module):
    """A ReLU makes exact zeros of all that is negative."""

    def __init__(self, layer: type[SignConv2d]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = layer(3, 8, 3, padding=1)
        self.second = layer(8, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x))).mean((2, 3))


def layer(name: str, ties: int, inputs: int = 100) -> LayerReport:
    return LayerReport(name, inputs, (), None, ties)


def test_zeros_behind_a_relu_are_counted_and_said(tmp_path: Path) -> None:
    network = BehindRelu(BiRealConv2d).eval()
    with pytest.warns(UserWarning, match=rf"for random inputs, \d+ of \d+ {SAID} \(second: "):
        rbnn_deploy.export(network, tmp_path / "model.onnx", metadata=METADATA)
    x = np.random.default_rng(0).standard_normal((5, 3, 8, 8), np.float32)
    with torch.no_grad():
        zeros = int((torch.relu(network.first(torch.from_numpy(x))) == 0).sum())
    assert 0 < zeros < 5 * 8 * 8 * 8
    report = rbnn_deploy.compare(tmp_path / "model.onnx", network, x, layers=True)
    assert report.ok
    assert [one.on_threshold for one in report.layers or ()] == [0, zeros]
    (note,) = report.notes
    assert note.startswith(
        f"{zeros} of {5 * 64 * (3 + 8)} {SAID} (second: {zeros}); one bit takes them as +1, and"
    )
    assert "code as 0" in note


def test_a_layer_whose_own_code_takes_zero_for_one_is_not_named(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    network = BehindRelu(SignConv2d).eval()
    rbnn_deploy.export(network, tmp_path / "model.onnx", metadata=METADATA)
    assert not [w for w in recwarn if SAID in str(w.message)]
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8), np.float32)
    report = rbnn_deploy.compare(tmp_path / "model.onnx", network, x, layers=True)
    assert not report.notes
    assert [one.on_threshold > 0 for one in report.layers or ()] == [False, True]


def test_only_the_layers_with_the_most_are_named() -> None:
    layers = [
        layer("a", 1),
        layer("b", 4),
        layer("c", 3),
        layer("d", 2),
        layer("e", 9),
        layer("f", 0),
        layer("b#2", 5),
    ]
    said = describe_ties(layers, dict.fromkeys("abcdf", 0))
    assert said is not None
    assert said.startswith(f"15 of 700 {SAID} (b#2: 5, b: 4, c: 3, and 2 more layers); ")


def test_nothing_is_said_without_such_inputs() -> None:
    assert describe_ties([layer("a", 0), layer("b", 2)], {"a": 0, "b": 1}) is None
    assert describe_ties([layer("a", 3)], {}) is None
