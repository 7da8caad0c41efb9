"""The float32 baseline computes the float network of the same weights, and nothing in it slows it down."""

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from support.networks import UsersOwnNetwork, randomise
from torch import Tensor, nn

from rbnn_deploy.benchmarking.dequantize import dequantize
from rbnn_deploy.benchmarking.float_baseline import float_baseline
from rbnn_deploy.exporters.onnx import build_model
from rbnn_deploy.exporters.onnx.float_layers_to_int8 import quantize_float_layers
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.pytorch.folding import BinaryConv2d
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d
from rbnn_deploy.pytorch.networks import build_network

# Float sums in another order, over a few layers without thresholds: rounding grows no further.
TOLERANCE = 1e-4


class FloatConv2d(nn.Module):
    """A folded layer with its signs and scales as float weights: no mean, no signs of activations."""

    def __init__(self, layer: BinaryConv2d) -> None:
        super().__init__()
        self.attributes, self.bias = layer.attributes, layer.bias
        bits = np.unpackbits(layer.weight.numpy(), axis=-1, bitorder="little")
        signs = bits[..., : layer.attributes.channels // layer.attributes.groups] * 2.0 - 1.0
        self.weight = torch.from_numpy(signs).float().permute(0, 3, 1, 2) * layer.scale.view(-1, 1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.attributes
        top, left, bottom, right = a.pads
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, self.weight, self.bias, a.strides, 0, a.dilations, a.groups)


def as_float(module: nn.Module) -> nn.Module:
    module = copy.deepcopy(module)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, BinaryConv2d):
                setattr(parent, name, FloatConv2d(child))
    return module.eval()


class Stem(nn.Module):
    """An ImageNet network in small: pooled stem, float shortcut, mean, head."""

    def __init__(self, last: int = 24) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 7, stride=2, padding=3)
        self.norm = nn.BatchNorm2d(16)
        self.first = RotatedBinaryConv2d(16, 16, 3, padding=1)
        self.second = RotatedBinaryConv2d(16, last, 3, stride=2, padding=1)
        self.shortcut = nn.Conv2d(16, last, 1, stride=2, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(last)
        self.head = nn.Linear(last, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.hardtanh(self.norm(self.stem(x))), 3, stride=2, padding=1)
        x = F.hardtanh(self.first(x) + x)
        x = F.hardtanh(self.second(x) + self.shortcut_norm(self.shortcut(x)))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Pooled(nn.Module):
    """VGG in small: pools behind binary layers, whose BatchNorms have gammas of both signs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.first = RotatedBinaryConv2d(16, 32, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(32)
        self.second = RotatedBinaryConv2d(32, 32, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(32)
        self.head = nn.Linear(32 * 36, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.stem(x))
        x = F.hardtanh(self.norm1(F.max_pool2d(self.first(x), 2)))
        x = F.hardtanh(self.norm2(F.max_pool2d(self.second(x), 2)))
        return self.head(x.flatten(1))


class ConcatenatedAndRelu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.first = RotatedBinaryConv2d(16, 16, 3, padding=1)
        self.second = RotatedBinaryConv2d(32, 8, 3, padding=1, groups=2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = torch.cat([F.relu(self.first(x) + 0.5), x], dim=1)
        return self.head(torch.tanh(self.second(x)).mean((2, 3)))


class OverlappingPool(Stem):
    """The binary trunk is left and entered again around a pool that reductions cannot express."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.stem(x))
        x = F.hardtanh(F.max_pool2d(self.first(x), 3, stride=2, padding=1))
        return self.head(F.hardtanh(self.second(x)).mean((2, 3)))


NETWORKS = {
    "stem": Stem,
    "pooled": Pooled,
    "concatenated": ConcatenatedAndRelu,
    "overlapping": OverlappingPool,
    "users_own": UsersOwnNetwork,
    "slice_and_pad": lambda: build_network("digits/resnet8_1w1a"),
}


def build(name: str, **options: object) -> tuple[nn.Module, onnx.ModelProto, tuple[int, int, int]]:
    torch.manual_seed(0)
    shape = (1, 8, 8) if name == "slice_and_pad" else (3, 24, 24)
    module = randomise(NETWORKS[name](), seed=2)
    model, folded = build_model(module, ModelMetadata(name, shape), **options)
    return as_float(folded.module), model, shape


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


def check(network: nn.Module, baseline: onnx.ModelProto, shape: tuple[int, int, int]) -> None:
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(
        run(baseline, x), expected, rtol=TOLERANCE, atol=TOLERANCE * np.abs(expected).max()
    )


def optimised_operators(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


@pytest.mark.parametrize("name", NETWORKS)
def test_baseline_is_the_float_network(name: str, tmp_path: Path) -> None:
    network, model, shape = build(name)
    baseline = float_baseline(model)
    check(network, baseline, shape)
    assert {node.domain for node in baseline.graph.node} == {""}
    assert not baseline.functions
    assert (baseline.ir_version, baseline.opset_import[0].version) == (8, 18)
    operators = optimised_operators(baseline, tmp_path)
    assert operators["Transpose"] == 0
    assert operators["MatMul"] == operators["ReduceMax"] == 0


def test_unoptimised_export_gives_the_same_baseline() -> None:
    network, model, shape = build("stem", optimize=False)
    check(network, float_baseline(model), shape)


def test_layers_keep_their_names_and_binary_geometry() -> None:
    _, model, _ = build("stem")
    convolutions = {n.name: n for n in float_baseline(model).graph.node if n.op_type == "Conv"}
    assert set(convolutions) == {"stem", "first", "second", "shortcut"}
    strides = {a.name: list(a.ints) for a in convolutions["shortcut"].attribute}
    assert (strides["strides"], strides["kernel_shape"]) == ([2, 2], [1, 1])


def test_the_deployed_model_is_left_alone() -> None:
    _, model, _ = build("stem")
    before = model.SerializeToString(deterministic=True)
    float_baseline(dequantize(model))
    assert model.SerializeToString(deterministic=True) == before


def test_baseline_of_a_quantised_model_is_that_of_the_model_before() -> None:
    torch.manual_seed(0)
    module = randomise(Stem(last=512), seed=2)
    model, _ = build_model(module, ModelMetadata("stem", (3, 24, 24)))
    x = np.random.default_rng(0).normal(size=(4, 3, 24, 24)).astype(np.float32)
    quantised = quantize_float_layers(model, [x])
    assert {"SpaceToDepth", "Flatten"} <= {node.op_type for node in quantised.graph.node}
    before, after = float_baseline(model), float_baseline(dequantize(quantised))
    assert Counter(n.op_type for n in after.graph.node) == Counter(n.op_type for n in before.graph.node)

    def stem(m: onnx.ModelProto) -> tuple[dict[str, list[int]], np.ndarray]:
        node = next(n for n in m.graph.node if n.name == "stem")
        tensors = {t.name: onnx.numpy_helper.to_array(t) for t in m.graph.initializer}
        return {a.name: list(a.ints) for a in node.attribute if a.ints}, tensors[node.input[1]]

    attributes, weight = stem(after)
    assert attributes["strides"] == [2, 2]
    assert attributes["pads"] == [3, 3, 2, 2]  # one row less below, which no window read
    assert weight.shape == (16, 3, 7, 7)
    steps = np.abs(stem(before)[1]).max((1, 2, 3)) / 127
    assert (np.abs(weight - stem(before)[1]) <= 0.501 * steps[:, None, None, None]).all()
    difference = np.abs(run(after, x) - run(before, x))
    assert difference.max() < 0.05 * np.abs(run(before, x)).max()  # 8-bit weights, no flipped bits to amplify
