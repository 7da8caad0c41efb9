"""XNOR-Net's Network in Network for 32 x 32 images; attribute names are the keys of its checkpoints."""

import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import BinaryLayer
from rbnn_deploy.pytorch.methods import XnorConv2d
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
        for module in self.xnor:
            x = module(x)
            if isinstance(module, BinaryLayer):
                x = F.relu(x)  # the published code has it inside its layer
        return x.flatten(1)
