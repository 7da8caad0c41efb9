"""Models with bits between their layers: the same outputs, to the bit, in every runtime."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from rbnn_deploy.exporters.onnx import build_model
from rbnn_deploy.exporters.onnx.export import BuiltModel
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.onnx_graph import is_binary_conv
from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d
from rbnn_deploy.pytorch.methods import BinarizeConv2d
from rbnn_deploy.runtimes import load_model
from rbnn_deploy.shape_inference import static_shapes

SIZE = 12


class Shift(nn.Module):
    """Adds a number per channel: a threshold per channel of the layer behind."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(1, channels, 1, 1) / 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)  # type: ignore[no-any-return]


def conv(inputs: int, outputs: int, **options: int) -> BinarizeConv2d:
    return BinarizeConv2d(inputs, outputs, kernel_size=3, padding=1, bias=True, **options)


def pooled(inputs: int, outputs: int, *behind: nn.Module) -> list[nn.Module]:
    return [conv(inputs, outputs), nn.MaxPool2d(2), *behind]


def norm(channels: int) -> nn.BatchNorm2d:
    """A BatchNorm with gammas of both signs, some of them zero."""
    layer = nn.BatchNorm2d(channels)
    with torch.no_grad():
        layer.weight.normal_()
        layer.weight[::7] = 0
        layer.bias.normal_()
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.normal_().mul_(3)
        layer.running_var.uniform_(1, 40)
    return layer


def prelu(channels: int, least: float = 0.0) -> nn.PReLU:
    layer = nn.PReLU(channels)
    nn.init.uniform_(layer.weight, least, 0.5)
    return layer


NETWORKS = {
    "norm and hardtanh": lambda: [conv(16, 24), norm(24), nn.Hardtanh(), conv(24, 16)],
    "a pool and a norm": lambda: [*pooled(16, 24, norm(24), nn.Hardtanh()), conv(24, 16)],
    "a norm and a pool": lambda: [conv(16, 24), norm(24), nn.MaxPool2d((3, 2)), conv(24, 16)],
    "a bare pool": lambda: [*pooled(16, 33), conv(33, 16)],
    "thresholds per channel": lambda: [Shift(16), conv(16, 24), norm(24), Shift(24), conv(24, 16)],
    "slopes": lambda: [conv(16, 24), norm(24), prelu(24), Shift(24), conv(24, 16)],
    "slopes and a norm": lambda: [conv(16, 24), norm(24), prelu(24), norm(24), conv(24, 16)],
    "groups": lambda: [conv(16, 12, groups=4), norm(12), nn.Hardtanh(), conv(12, 16, groups=2)],
    "groups and a pool": lambda: [
        conv(16, 12, groups=4),
        nn.MaxPool2d(2),
        norm(12),
        nn.Hardtanh(),
        conv(12, 16, groups=2),
    ],
    "three in a row": lambda: [
        *pooled(16, 40, norm(40), nn.Hardtanh()),
        conv(40, 24),
        norm(24),
        nn.Hardtanh(),
        *pooled(24, 32, norm(32), Shift(32)),
        conv(32, 16),
    ],
}
PACKED = {name: 3 if name == "three in a row" else 1 for name in NETWORKS}


def network(layers: Sequence[nn.Module]) -> nn.Module:
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)]
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), *layers, *head).eval()


def build(module: nn.Module, *, bits: bool) -> BuiltModel:
    metadata = ModelMetadata("bits", (3, SIZE, SIZE))
    return build_model(module, metadata, bits_between_layers=bits)


def run(model: onnx.ModelProto, path: str, runtime: str) -> np.ndarray:
    onnx.save(model, path)
    images = np.random.default_rng(3).standard_normal((6, 3, SIZE, SIZE), np.float32)
    return load_model(path, runtime=runtime, threads=1).run(images)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_the_same_bits(name: str, tmp_path: object) -> None:
    torch.manual_seed(len(name))
    module = network(NETWORKS[name]())
    floats, bits = (build(module, bits=chosen).model for chosen in (False, True))
    counts = Counter(node.op_type for node in bits.graph.node)
    assert counts["PackedBinaryConv2d"] == PACKED[name]
    assert (counts["PackSigns"], counts["UnpackSigns"]) == (1, 1)
    assert counts["ReduceMax"] == counts["MaxPool"] == 0
    names = [[node.name for node in model.graph.node if is_binary_conv(node)] for model in (floats, bits)]
    assert names[0] == names[1]
    results = []
    for runtime in ("ort", "ort-portable", "numpy"):
        y = [run(model, f"{tmp_path}/model.onnx", runtime) for model in (floats, bits)]
        assert np.array_equal(*y), runtime
        results.append(y[0])
    assert np.std(results[0], axis=0).min() > 0  # they depend on the images


def test_a_threshold_that_is_off_by_one_is_seen(tmp_path: object) -> None:
    torch.manual_seed(5)
    model = build(network(NETWORKS["a pool and a norm"]()), bits=True).model
    right = run(model, f"{tmp_path}/model.onnx", "numpy")
    (packed,) = [node for node in model.graph.node if node.op_type == "PackedBinaryConv2d"]
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == packed.input[2]]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.int32(2), tensor.name))
    assert not np.array_equal(run(model, f"{tmp_path}/model.onnx", "numpy"), right)


def test_shapes_of_bits_are_inferred() -> None:
    torch.manual_seed(6)
    model = build(network(NETWORKS["three in a row"]()), bits=True).model
    shapes = static_shapes(model)
    found = {
        node.op_type + str(index): shapes[node.output[0]][1:]
        for index, node in enumerate(node for node in model.graph.node if node.domain == "ai.rbnn")
    }
    assert found == {
        "PackSigns0": (SIZE, SIZE, 2),
        "PackedBinaryConv2d1": (SIZE // 2, SIZE // 2, 5),
        "PackedBinaryConv2d2": (SIZE // 2, SIZE // 2, 3),
        "PackedBinaryConv2d3": (SIZE // 4, SIZE // 4, 4),
        "UnpackSigns4": (SIZE // 4, SIZE // 4, 32),
        "GeneralBinaryConv2d5": (SIZE // 4, SIZE // 4, 16),
    }


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        (lambda: [RotatedBinaryConv2d(16, 16, 3, padding=1), norm(16), conv(16, 16)], "the sample's mean"),
        (lambda: [conv(16, 16), norm(16), RotatedBinaryConv2d(16, 16, 3, padding=1)], "the sample's mean"),
        (lambda: [Residual(conv(16, 16)), conv(16, 16)], "further terms"),
        (lambda: [conv(16, 16), Residual(conv(16, 16))], "several nodes"),
        (lambda: [conv(16, 16), prelu(16, -0.5), conv(16, 16)], "rises and falls"),
        (lambda: [conv(16, 16), nn.MaxPool2d(3, 2, 1), conv(16, 16)], "Transpose"),
        (lambda: [conv(16, 16), nn.Sigmoid(), conv(16, 16)], "Sigmoid"),
    ],
)
def test_what_needs_floats_keeps_them_and_says_why(layers: object, reason: str) -> None:
    torch.manual_seed(7)
    built = build(network(layers()), bits=True)  # type: ignore[operator]
    assert not [node for node in built.model.graph.node if node.op_type == "PackedBinaryConv2d"]
    notes = [note.text for note in built.notes if note.text.startswith("passes floats on")]
    assert any(reason in text for text in notes), notes


def test_nothing_changes_unless_asked_for() -> None:
    torch.manual_seed(8)
    module = network(NETWORKS["a bare pool"]())
    metadata = ModelMetadata("bits", (3, SIZE, SIZE))
    assert build_model(module, metadata).model == build(module, bits=False).model
