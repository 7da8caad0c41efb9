"""The rules that lighten what is left in float compute the same, and stay away where they would not."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.exporters.onnx import build_model
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d

# Float layers sum in another order than torch; no activation of these seeded cases is so near its threshold
# that this flips a bit, which would move a logit by far more.
TOLERANCE = 2e-5


class PooledStem(nn.Module):
    """The start and the end of an ImageNet network; variants override one of its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 7, stride=2, padding=3)
        self.binary = RotatedBinaryConv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, 5)

    def activate(self, x: Tensor) -> Tensor:
        return F.hardtanh(x)

    def pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, stride=2, padding=1)

    def mean(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, 1).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.activate(self.stem(x)))
        return self.head(self.mean(F.hardtanh(self.binary(x) + x)))


class ReluStem(PooledStem):
    def activate(self, x: Tensor) -> Tensor:
        return F.relu(x)


class Relu6Stem(PooledStem):
    def activate(self, x: Tensor) -> Tensor:
        return F.relu6(x)


class PoolThatKeepsTheMap(PooledStem):
    def pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, stride=1, padding=1)


class StemReadTwice(PooledStem):
    def forward(self, x: Tensor) -> Tensor:
        activated = self.activate(self.stem(x))
        x = self.pool(activated)
        x = self.mean(F.hardtanh(self.binary(x) + x))
        return self.head(x) + activated.sum((1, 2, 3)).unsqueeze(1)


class MeanOverRows(PooledStem):
    def mean(self, x: Tensor) -> Tensor:
        return x.mean(2, keepdim=True).sum(3).flatten(1)


def build(network: type[nn.Module], size: int = 24) -> tuple[nn.Module, onnx.ModelProto]:
    torch.manual_seed(0)
    module = network().eval()
    built = build_model(module, ModelMetadata(network.__name__, (3, size, size)))
    model, folded = built.model, built.folded
    return folded.module, model


def check(module: nn.Module, model: onnx.ModelProto, batch: int, size: int = 24) -> None:
    x = np.random.default_rng(1).normal(size=(batch, 3, size, size)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(session.run(None, {"input": x})[0], expected, atol=TOLERANCE, rtol=TOLERANCE)


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("network", [PooledStem, Relu6Stem], ids=lambda n: n.__name__)
def test_clip_acts_on_the_pooled_map(network: type[nn.Module]) -> None:
    module, model = build(network)
    assert operators(model)[:4] == ["Conv", "MaxPool", "Transpose", "Clip"]
    check(module, model, 2)


@pytest.mark.parametrize(
    ("network", "start"),
    [
        (ReluStem, ["Conv", "Relu", "MaxPool", "Transpose"]),
        (PoolThatKeepsTheMap, ["Conv", "Clip", "MaxPool", "Transpose"]),
        (StemReadTwice, ["Conv", "Clip", "MaxPool", "Transpose"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_activation_stays_where_moving_gains_nothing(network: type[nn.Module], start: list[str]) -> None:
    module, model = build(network)
    assert [name for name in operators(model) if name in start][:4] == start
    check(module, model, 2)


def test_mean_is_one_product_between_two_views() -> None:
    module, model = build(PooledStem)
    assert operators(model)[-4:] == ["Reshape", "MatMul", "Reshape", "Gemm"]
    for batch in (0, 1, 3):
        check(module, model, batch)


@pytest.mark.parametrize(("network", "size"), [(MeanOverRows, 24), (PooledStem, 72)])
def test_other_means_stay(network: type[nn.Module], size: int) -> None:
    module, model = build(network, size)
    counts = Counter(operators(model))
    assert (counts["ReduceMean"], counts["MatMul"]) == (1, 0)
    check(module, model, 1, size)
