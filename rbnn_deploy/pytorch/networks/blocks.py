"""The residual blocks and shortcuts that the networks are built from."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import RotatedBinaryConv2d, SignConv2d

# Builds a binary convolution, with the arguments of nn.Conv2d; a method's layer.
Conv = Callable[..., nn.Module]
ROTATED: Conv = RotatedBinaryConv2d
# Builds an activation for a number of channels.
Activation = Callable[[int], nn.Module]


def hardtanh(channels: int) -> nn.Module:
    """Builds the activation of RBNN's networks and of most others."""
    return nn.Hardtanh()


def binary_conv3x3(inputs: int, outputs: int, stride: int = 1, conv: Conv = ROTATED) -> nn.Module:
    """Builds a binary 3 x 3 convolution with padding 1."""
    return conv(inputs, outputs, kernel_size=3, stride=stride, padding=1)


class PaddedShortcut(nn.Module):
    """Takes every second row and column and adds zero channels on both sides; it has no weights.

    Args:
        added: How many channels are added on each side.
        step: Distance of the rows and columns that are taken.
    """

    def __init__(self, added: int, step: int = 2) -> None:
        super().__init__()
        self.added = added
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to [N, C + 2 * added, ceil(H / step), ceil(W / step)]."""
        return F.pad(x[:, :, :: self.step, :: self.step], (0, 0, 0, 0, self.added, self.added))


def padded_shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Builds the shortcut without weights."""
    return nn.Identity() if stride == 1 and inputs == outputs else PaddedShortcut(outputs // 4)


def pooled_shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Builds the shortcut without weights that takes means of 2 x 2 pixels."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.AvgPool2d(2), PaddedShortcut(outputs // 4, step=1))


def convolved_shortcut(conv: Conv, inputs: int, outputs: int, stride: int) -> nn.Module:
    """Builds the shortcut with a 1 x 1 convolution, without a bias, and BatchNorm."""
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(
        conv(inputs, outputs, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
    )


class BasicBlock(nn.Module):
    """Two binary convolutions and one shortcut around both.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Stride of the first convolution and of the shortcut.
        shortcut: Maps the block's input to its output's shape.
        conv: The method's layer.
        activation: Its activation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        shortcut: nn.Module,
        conv: Conv = ROTATED,
        activation: Activation = hardtanh,
    ) -> None:
        super().__init__()
        self.conv1 = binary_conv3x3(inputs, outputs, stride, conv)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.nonlinear1 = activation(outputs)
        self.conv2 = binary_conv3x3(outputs, outputs, conv=conv)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.nonlinear2 = activation(outputs)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        y = self.nonlinear1(self.bn1(self.conv1(x)))
        return self.nonlinear2(self.bn2(self.conv2(y)) + self.shortcut(x))  # type: ignore[no-any-return]


class BiRealBlock(BasicBlock):
    """Two binary convolutions with a shortcut around each, as in Bi-Real Net (arXiv 1808.00278)."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        y = self.nonlinear1(self.bn1(self.conv1(x)) + self.shortcut(x))
        return self.nonlinear2(self.bn2(self.conv2(y)) + y)  # type: ignore[no-any-return]


class LearnableBias(nn.Module):
    """Adds a number to every channel.

    Args:
        channels: C.

    Attributes:
        bias: [1, C, 1, 1].
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to the same shape."""
        return x + self.bias


class ReActBlock(nn.Module):
    """One binary convolution between learned shifts: RSign and RPReLU (Liu et al., ReActNet, ECCV 2020).

    sign(x + b) is the comparison of x with a threshold -b per channel (equation 4); RPReLU is
    PReLU(x + b1) + b2 (equation 5), behind the shortcut's sum.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the convolution.
        downsample: Maps the block's input to its output's shape.
        conv: The method's layer.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, downsample: nn.Module, conv: Conv = SignConv2d
    ) -> None:
        super().__init__()
        self.move0 = LearnableBias(inputs)
        self.binary_conv = binary_conv3x3(inputs, outputs, stride, conv)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.move1 = LearnableBias(outputs)
        self.prelu = nn.PReLU(outputs)
        self.move2 = LearnableBias(outputs)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        y = self.bn1(self.binary_conv(self.move0(x))) + self.downsample(x)
        return self.move2(self.prelu(self.move1(y)))  # type: ignore[no-any-return]
