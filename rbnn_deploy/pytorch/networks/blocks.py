"""The residual blocks and shortcuts that the networks are built from."""

import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d


def binary_conv3x3(inputs: int, outputs: int, stride: int = 1) -> RotatedBinaryConv2d:
    """Builds a binary 3 x 3 convolution with padding 1."""
    return RotatedBinaryConv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1)


class PaddedShortcut(nn.Module):
    """Takes every second row and column and adds zero channels on both sides; it has no weights.

    Args:
        added: How many channels are added on each side.
    """

    def __init__(self, added: int) -> None:
        super().__init__()
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to [N, C + 2 * added, ceil(H / 2), ceil(W / 2)]."""
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added, self.added))


def padded_shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Builds the shortcut without weights."""
    return nn.Identity() if stride == 1 and inputs == outputs else PaddedShortcut(outputs // 4)


def binary_shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Builds the shortcut with a binary 1 x 1 convolution and BatchNorm."""
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(
        RotatedBinaryConv2d(inputs, outputs, kernel_size=1, stride=stride), nn.BatchNorm2d(outputs)
    )


class BasicBlock(nn.Module):
    """Two binary convolutions and one shortcut around both.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Stride of the first convolution and of the shortcut.
        shortcut: Maps the block's input to its output's shape.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = binary_conv3x3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = binary_conv3x3(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        y = F.hardtanh(self.bn1(self.conv1(x)))
        return F.hardtanh(self.bn2(self.conv2(y)) + self.shortcut(x))


class BiRealBlock(BasicBlock):
    """Two binary convolutions with a shortcut around each, as in Bi-Real Net (arXiv 1808.00278)."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        y = F.hardtanh(self.bn1(self.conv1(x)) + self.shortcut(x))
        return F.hardtanh(self.bn2(self.conv2(y)) + y)
