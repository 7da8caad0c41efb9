"""The exported graph computes what the module computes, and its binary trunk is lean."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.exporters.onnx import build_model
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.operators import BINARY_CONV2D, BinaryConv2dAttributes
from rbnn_deploy.pytorch.folding import BinaryConv2d

# ONNX Runtime computes float layers in another order than torch; what they feed into a binary layer is
# so far from its threshold in these seeded cases that no bit flips (a flip moves a result by far more).
TOLERANCE = 2e-5


def conv(channels: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> BinaryConv2d:
    attributes = BinaryConv2dAttributes(channels, (stride, stride), (kernel // 2,) * 4, groups=groups)
    weight = torch.randint(0, 256, (outputs, kernel, kernel, attributes.packed_channels), dtype=torch.uint8)
    tail = (1 << ((channels // groups - 1) % 8 + 1)) - 1
    weight[..., -1] &= tail
    rng = np.random.default_rng(outputs)
    return BinaryConv2d(
        attributes, weight, ChannelAffine(rng.normal(size=outputs) / 10, rng.normal(size=outputs))
    )


def norm(channels: int, kind: type[nn.Module] = nn.BatchNorm2d) -> nn.Module:
    layer = kind(channels)
    generator = torch.Generator().manual_seed(channels)
    for tensor in (layer.weight.data, layer.bias.data, layer.running_mean):
        tensor.copy_(torch.randn(channels, generator=generator))
    layer.running_var.copy_(torch.rand(channels, generator=generator) + 0.5)
    layer.weight.data[0] = 0
    return layer


class Trunk(nn.Module):
    """A float stem, two binary layers with something in between, and a float head."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)
        self.head = nn.Linear(channels, 5)

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return F.hardtanh(y + x)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.stem(x))
        x = self.between(self.first(x), x)
        x = F.hardtanh(self.second(x))
        return self.head(x.mean((2, 3)))


class Plain(Trunk):
    pass


class Relu(Trunk):
    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return F.relu(y + x)


class ClampedRelu(Trunk):
    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return torch.clamp(x + y, min=0)


class Relu6IsNotRelu(Trunk):
    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return F.relu6(y + x)


class BatchNormFunction(Trunk):
    def __init__(self) -> None:
        super().__init__()
        self.norm = norm(16)

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        n = self.norm
        return F.hardtanh(F.batch_norm(y, n.running_mean, n.running_var, n.weight, n.bias) + x)


class NormAfterResidual(Trunk):
    def __init__(self) -> None:
        super().__init__()
        self.norm = norm(16)

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return F.hardtanh(self.norm(y + x))


class ScaledByChannel(Trunk):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("gain", torch.linspace(-1, 2, 16).view(1, 16, 1, 1))

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return F.hardtanh(self.gain * y * 0.5 + 0.25)


class UsedTwice(Trunk):
    """The convolution's output is also used before its activation."""

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return F.hardtanh(y) + y * torch.sigmoid(x)


class PReLU(Trunk):
    def __init__(self) -> None:
        super().__init__()
        self.prelu = nn.PReLU(16)
        self.prelu.weight.data.uniform_(-0.5, 0.5)

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return self.prelu(y) + x


class SliceAndPadShortcut(Trunk):
    def __init__(self) -> None:
        super().__init__()
        self.down = conv(16, 32, stride=2)
        self.second = conv(32, 16)

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        y = F.hardtanh(y + x)
        return F.hardtanh(self.down(y) + F.pad(y[:, :, ::2, ::2], (0, 0, 0, 0, 8, 8)))


class PointwiseShortcut(Trunk):
    def __init__(self) -> None:
        super().__init__()
        self.down = conv(16, 32, stride=2)
        self.pointwise = nn.Conv2d(16, 32, 1, stride=2, bias=False)
        self.norm = norm(32)
        self.second = conv(32, 16)

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        y = F.hardtanh(y + x)
        return F.hardtanh(self.down(y) + self.norm(self.pointwise(y)))


class BinaryShortcut(Trunk):
    def __init__(self) -> None:
        super().__init__()
        self.shortcut = conv(16, 16, kernel=1)
        self.norm = norm(16)

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return F.hardtanh(y + self.norm(self.shortcut(x)))


class PooledWithBatchNorm(Trunk):
    def __init__(self) -> None:
        super().__init__()
        self.norm = norm(16)  # half of its gammas are negative

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return F.hardtanh(self.norm(F.max_pool2d(y, 2)))


class PooledWithPositiveBatchNorm(PooledWithBatchNorm):
    def __init__(self) -> None:
        super().__init__()
        self.norm.weight.data.abs_()


class Concatenated(Trunk):
    def __init__(self) -> None:
        super().__init__()
        self.second = conv(32, 16)

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return torch.cat([F.hardtanh(y), x], dim=1)


class Grouped(Trunk):
    def __init__(self) -> None:
        super().__init__(channels=16)
        self.second = conv(16, 16, kernel=5, groups=2)


class GlobalPoolHead(Trunk):
    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.first(F.hardtanh(self.stem(x))))
        x = F.adaptive_avg_pool2d(F.hardtanh(self.second(x)), 1)
        return self.head(torch.flatten(x, 1))


class AveragePoolNormHead(Trunk):
    def __init__(self) -> None:
        super().__init__()
        self.norm = norm(16, nn.BatchNorm1d)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.first(F.hardtanh(self.stem(x))))
        x = F.avg_pool2d(F.hardtanh(self.second(x)), 12)
        return self.head(self.norm(x.view(x.size(0), -1)))


LEAN = [
    Plain,
    Relu,
    ClampedRelu,
    Relu6IsNotRelu,
    BatchNormFunction,
    NormAfterResidual,
    ScaledByChannel,
    UsedTwice,
    PReLU,
    SliceAndPadShortcut,
    PointwiseShortcut,
    BinaryShortcut,
    PooledWithBatchNorm,
    PooledWithPositiveBatchNorm,
    Concatenated,
    Grouped,
    GlobalPoolHead,
    AveragePoolNormHead,
]


class OverlappingPool(Trunk):
    """A pool that cannot be written as reductions."""

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return F.hardtanh(F.max_pool2d(y, 3, stride=2, padding=1))


class FloatConvBetween(Trunk):
    def __init__(self) -> None:
        super().__init__()
        self.real = nn.Conv2d(16, 16, 3, padding=1)

    def between(self, y: Tensor, x: Tensor) -> Tensor:
        return F.hardtanh(self.real(F.hardtanh(y)))


class FlattenedMap(Trunk):
    """The head sees every pixel, in channels-first order."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(16 * 144, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.second(F.hardtanh(self.first(F.hardtanh(self.stem(x))))))
        return self.head(x.flatten(1))


def build(network: type[nn.Module], **options: object) -> tuple[nn.Module, onnx.ModelProto]:
    torch.manual_seed(0)
    module = network().eval()
    model = build_model(module, ModelMetadata(network.__name__, (3, 12, 12)), **options).model
    return module, model


def run_portable(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


def expected(module: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("network", LEAN, ids=lambda n: n.__name__)
def test_lean_graph_computes_the_module(network: type[nn.Module]) -> None:
    module, model = build(network)
    x = np.random.default_rng(1).normal(size=(3, 3, 12, 12)).astype(np.float32)
    np.testing.assert_allclose(run_portable(model, x), expected(module, x), atol=TOLERANCE, rtol=TOLERANCE)
    # Transposes lead from the float stem into the channels-last region; none leads out or stands within.
    transposes = [node for node in model.graph.node if node.op_type == "Transpose"]
    stem = {
        output
        for node in model.graph.node
        if node.op_type in ("Conv", "Clip", "Sigmoid")
        for output in node.output
    }
    assert all(list(node.attribute[0].ints) == [0, 2, 3, 1] and node.input[0] in stem for node in transposes)
    assert len(transposes) == 1


@pytest.mark.parametrize(
    "network", [OverlappingPool, FloatConvBetween, FlattenedMap], ids=lambda n: n.__name__
)
def test_transposes_stay_around_what_needs_channels_first(network: type[nn.Module]) -> None:
    module, model = build(network)
    x = np.random.default_rng(2).normal(size=(2, 3, 12, 12)).astype(np.float32)
    np.testing.assert_allclose(run_portable(model, x), expected(module, x), atol=TOLERANCE, rtol=TOLERANCE)
    assert Counter(node.op_type for node in model.graph.node)["Transpose"] > 1


@pytest.mark.parametrize(
    ("network", "operators"),
    [
        (Plain, {"Add": 0, "Clip": 1}),
        (Relu, {"Add": 0, "Relu": 0}),
        (ClampedRelu, {"Add": 0, "Relu": 0, "Clip": 1}),
        (Relu6IsNotRelu, {"Add": 0, "Clip": 2}),
        (BatchNormFunction, {"Add": 0, "Mul": 0, "BatchNormalization": 0}),
        (ScaledByChannel, {"Add": 0, "Mul": 0}),
        (SliceAndPadShortcut, {"Add": 0, "Slice": 1, "Pad": 1}),
        (PointwiseShortcut, {"Add": 0, "MatMul": 1, "Conv": 1}),
        (BinaryShortcut, {"Add": 0, "Mul": 0, BINARY_CONV2D: 3}),
        (PooledWithBatchNorm, {"Add": 0, "Mul": 1, "Clip": 1}),
        (PooledWithPositiveBatchNorm, {"Add": 0, "Mul": 0, "Clip": 1}),
        (AveragePoolNormHead, {"BatchNormalization": 0, "Gemm": 1}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_follows_a_binary_layer_is_fused(network: type[nn.Module], operators: dict[str, int]) -> None:
    _, model = build(network)
    counts = Counter(node.op_type for node in model.graph.node)
    assert {name: counts[name] for name in operators} == operators


def test_unoptimised_graph_computes_the_same() -> None:
    module, model = build(SliceAndPadShortcut, optimize=False)
    x = np.random.default_rng(3).normal(size=(2, 3, 12, 12)).astype(np.float32)
    np.testing.assert_allclose(run_portable(model, x), expected(module, x), atol=TOLERANCE, rtol=TOLERANCE)
    assert Counter(node.op_type for node in model.graph.node)["Transpose"] == 6


def test_onnx_evaluator_runs_the_functions() -> None:
    module, model = build(PointwiseShortcut)
    x = np.random.default_rng(4).normal(size=(2, 3, 12, 12)).astype(np.float32)
    result = ReferenceEvaluator(model).run(None, {"input": x})[0]
    np.testing.assert_allclose(result, expected(module, x), atol=TOLERANCE, rtol=TOLERANCE)


def test_batch_is_dynamic_and_may_be_empty() -> None:
    module, model = build(SliceAndPadShortcut)
    x = np.random.default_rng(5).normal(size=(5, 3, 12, 12)).astype(np.float32)
    whole = run_portable(model, x)
    np.testing.assert_allclose(whole, expected(module, x), atol=TOLERANCE, rtol=TOLERANCE)
    for size in (0, 1, 2):
        part = run_portable(model, x[:size])
        assert part.shape == (size, 5)
        np.testing.assert_allclose(part, whole[:size], atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize(("opset", "ir_version"), [(18, 8), (19, 9), (21, 10)])
def test_opset_and_ir_version(opset: int, ir_version: int) -> None:
    module, model = build(Plain, opset=opset)
    assert {entry.domain: entry.version for entry in model.opset_import} == {
        "": opset,
        "ai.rbnn": 1,
        "ai.onnx.ml": 3,
    }
    assert model.ir_version == ir_version
    x = np.random.default_rng(6).normal(size=(2, 3, 12, 12)).astype(np.float32)
    np.testing.assert_allclose(run_portable(model, x), expected(module, x), atol=TOLERANCE, rtol=TOLERANCE)


def test_nodes_are_named_after_modules_and_carry_every_attribute() -> None:
    _, model = build(SliceAndPadShortcut)
    nodes = [node for node in model.graph.node if node.op_type == BINARY_CONV2D]
    assert [node.name for node in nodes] == ["first", "down", "second"]
    for node in nodes:
        assert {a.name for a in node.attribute} == set(BinaryConv2dAttributes.names())
        assert len(node.input) == 5


def test_shapes_are_inferred_through_the_function() -> None:
    _, model = build(SliceAndPadShortcut)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    shapes = {
        v.name: [d.dim_value or d.dim_param for d in v.type.tensor_type.shape.dim]
        for v in inferred.graph.value_info
    }
    down = next(node for node in model.graph.node if node.name == "down")
    assert shapes[down.output[0]][1:] == [6, 6, 32]
