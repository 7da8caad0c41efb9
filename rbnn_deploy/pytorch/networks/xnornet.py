"""XNOR-Net's Network in Network and AlexNet; attribute names are the keys of its checkpoints."""

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import BinaryLayer
from rbnn_deploy.pytorch.methods import XnorConv2d, XnorLinear
from rbnn_deploy.pytorch.methods.xnornet import EPSILON


class XnorNin(nn.Module):
    """Nine convolutions, three per size of map; all but the first and the last are binary.

    Args:
        num_classes: Number of logits.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.xnor = nn.Sequential(
            nn.Conv2d(3, 192, kernel_size=5, padding=2),
            nn.BatchNorm2d(192, eps=EPSILON, affine=False),
            nn.ReLU(),
            XnorConv2d(192, 160, kernel_size=1),
            XnorConv2d(160, 96, kernel_size=1),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            XnorConv2d(96, 192, kernel_size=5, padding=2),
            XnorConv2d(192, 192, kernel_size=1),
            XnorConv2d(192, 192, kernel_size=1),
            nn.AvgPool2d(kernel_size=3, stride=2, padding=1),
            XnorConv2d(192, 192, kernel_size=3, padding=1),
            XnorConv2d(192, 192, kernel_size=1),
            nn.BatchNorm2d(192, eps=EPSILON, affine=False),
            nn.Conv2d(192, num_classes, kernel_size=1),
            nn.ReLU(),
            nn.AvgPool2d(kernel_size=8),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [N, 3, 32, 32] to logits [N, num_classes]."""
        return _run(self.xnor, x).flatten(1)


class XnorAlexNet(nn.Module):
    """AlexNet for 227 x 227 images: eight layers, of which the first and the last are in float.

    Args:
        num_classes: Number of logits.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, kernel_size=11, stride=4),
            nn.BatchNorm2d(96, eps=EPSILON),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            XnorConv2d(96, 256, kernel_size=5, padding=2, least_gain=None),
            nn.MaxPool2d(kernel_size=3, stride=2),
            XnorConv2d(256, 384, kernel_size=3, padding=1, least_gain=None),
            XnorConv2d(384, 384, kernel_size=3, padding=1, least_gain=None),
            XnorConv2d(384, 256, kernel_size=3, padding=1, least_gain=None),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.classifier = nn.Sequential(
            XnorLinear(256 * 6 * 6, 4096),
            XnorLinear(4096, 4096),
            nn.BatchNorm1d(4096, eps=1e-3),
            nn.Dropout(),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [N, 3, 227, 227] to logits [N, num_classes]."""
        x = _run(self.features, x).flatten(1)[:, :, None, None]
        first, second, *rest = self.classifier
        x = _run((first, second), x).flatten(1)
        return _run(rest, x)


def _run(modules: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Runs modules, and a ReLU behind each binary one, which the published code has inside its layer."""
    for module in modules:
        x = module(x)
        x = F.relu(x) if isinstance(module, BinaryLayer) else x
    return x
