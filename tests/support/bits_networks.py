"""Networks whose binary layers can pass bits on, in every way that lies between two of them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rbnn_deploy.exporters.onnx import build_model
from rbnn_deploy.exporters.onnx.export import BuiltModel
from rbnn_deploy.metadata import ModelMetadata
from rbnn_deploy.pytorch.methods import BinarizeConv2d

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


def build_bits(module: nn.Module, *, bits: bool = True) -> BuiltModel:
    """Exports a network in memory, with bits between its layers or with floats."""
    metadata = ModelMetadata("bits", (3, SIZE, SIZE))
    return build_model(module, metadata, bits_between_layers=bits)
