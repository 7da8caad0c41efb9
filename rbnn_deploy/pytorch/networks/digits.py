"""A network small enough to train in seconds, for trying everything without a download."""

import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.networks.blocks import BiRealBlock, padded_shortcut


class ResNet8(nn.Module):
    """A float convolution, three binary Bi-Real blocks (32, 64 and 128 channels), and a linear layer.

    Args:
        num_classes: Number of logits.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layer1 = BiRealBlock(32, 32, 1, padded_shortcut(32, 32, 1))
        self.layer2 = BiRealBlock(32, 64, 2, padded_shortcut(32, 64, 2))
        self.layer3 = BiRealBlock(64, 128, 2, padded_shortcut(64, 128, 2))
        self.bn2 = nn.BatchNorm1d(128)
        self.linear = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [N, 1, 8, 8] to logits [N, num_classes]."""
        y = F.hardtanh(self.bn1(self.conv1(x)))
        y = self.layer3(self.layer2(self.layer1(y)))
        y = F.adaptive_avg_pool2d(y, 1).flatten(1)
        return self.linear(self.bn2(y))  # type: ignore[no-any-return]
