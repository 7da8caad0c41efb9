"""Every node of an exported graph says which module of the user's network it comes from."""

import re

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.exporters.onnx import build_model
from rbnn_deploy.exporters.onnx.quantize import quantize_layers
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.onnx_graph import is_binary_conv
from rbnn_deploy.operators import BINARY_CONV2D
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d

AUTOMATIC = re.compile(r"(node|val|n)_?\w*_?\d+|\w+_\d+|")


class Block(nn.Module):
    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = RotatedBinaryConv2d(channels, outputs, 3, padding=1, stride=2)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.act = nn.PReLU(outputs)
        self.down = nn.Sequential(
            nn.Conv2d(channels, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs)
        )
        self.gate = nn.Linear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.bn1(self.conv1(x)) + self.down(x))
        return y * torch.sigmoid(self.gate(y.mean((2, 3))))[:, :, None, None]


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.stages = nn.ModuleList([Block(16, 32), Block(32, 64)])
        self.gelu = nn.GELU()
        self.shared = nn.Hardswish()
        self.refine = RotatedBinaryConv2d(64, 64, 3, padding=1)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.norm(self.stem(x)))
        for stage in self.stages:
            x = stage(x)
        x = self.shared(self.refine(self.refine(self.shared(x)) + x))
        return self.head(self.gelu(x).mean((2, 3)))


def build(optimize: bool) -> onnx.ModelProto:
    torch.manual_seed(0)
    return build_model(Network().eval(), ModelMetadata("network", (3, 16, 16)), optimize=optimize).model


def names(model: onnx.ModelProto) -> list[str]:
    return [node.name for node in model.graph.node]


@pytest.fixture(scope="module", params=[True, False], ids=["optimised", "as it is"])
def model(request: pytest.FixtureRequest) -> onnx.ModelProto:
    return build(request.param)


def test_every_node_is_named_once(model: onnx.ModelProto) -> None:
    found = names(model)
    assert [name for name in found if AUTOMATIC.fullmatch(name)] == []
    assert len(set(found)) == len(found)


def test_layers_have_the_path_of_their_module(model: onnx.ModelProto) -> None:
    layers = {node.name for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")}
    heads = {"stages.0.gate", "stages.1.gate", "head", "stages.0.down.0", "stages.1.down.0", "stem"}
    assert heads <= layers
    binary = [node.name for node in model.graph.node if is_binary_conv(node)]
    assert binary == ["stages.0.conv1", "stages.1.conv1", "refine", "refine#2"]


def test_steps_have_the_path_of_the_module_that_computes_them(model: onnx.ModelProto) -> None:
    operators = {node.name: node.op_type for node in model.graph.node}
    assert operators["hardtanh"] == "Clip"
    assert operators["stages.0.sigmoid"] == operators["stages.1.sigmoid"] == "Sigmoid"
    assert operators["stages.0.mul"] == operators["stages.1.mul"] == "Mul"
    assert operators["gelu.Erf"] == "Erf"
    assert operators["gelu"] == "Mul"
    assert operators["shared"] == operators["shared#2"]


def test_what_a_pass_writes_keeps_the_name_of_its_layer() -> None:
    operators = {node.name: node.op_type for node in build(True).graph.node}
    # A PReLU is a part of its binary layer, a strided convolution of one pixel a product.
    assert "stages.0.act" not in operators
    assert operators["stages.0.down.0.Slice"] == "Slice"
    assert operators["stages.0.down.0"] == "MatMul"


def test_values_are_called_after_their_nodes(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        assert list(node.output) in ([node.name], ["logits"])


def test_int8_nodes_are_named_after_the_layers_between_them() -> None:
    torch.manual_seed(0)
    built = build_model(Network().eval(), ModelMetadata("network", (3, 64, 64)), int8=True)
    images = np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32)
    model = quantize_layers(built.model, built.int8_layers, [images])
    found = names(model)
    assert [name for name in found if AUTOMATIC.fullmatch(name)] == []
    assert len(set(found)) == len(found)
    assert any(name.startswith("stages.0.down.0") and "QuantizeLinear" in name for name in found)
    # ONNX Runtime refuses names that are given twice.
    onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


class Pooled(nn.Module):
    """A layer in front of which a pool's BatchNorm is placed, and a module that is called as a pass would."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = RotatedBinaryConv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.norm.weight.data[::2] = -1
        self.node_Clip_7 = RotatedBinaryConv2d(8, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.node_Clip_7(self.norm(F.max_pool2d(self.conv(x), 2))).flatten(1)


def test_a_batch_norm_that_moves_keeps_its_name() -> None:
    torch.manual_seed(0)
    model = build_model(Pooled().eval(), ModelMetadata("pooled", (3, 14, 14))).model
    operators = {node.name: node.op_type for node in model.graph.node}
    assert operators["norm"] == "Mul"
    assert operators["node_Clip_7"] == operators["conv"] == BINARY_CONV2D
