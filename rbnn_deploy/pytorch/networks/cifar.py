"""The reference networks for 32 x 32 images; attribute names are the keys of its checkpoints."""

import functools
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import ScaledSignConv2d
from rbnn_deploy.pytorch.networks.blocks import (
    ROTATED,
    Activation,
    BasicBlock,
    BiRealBlock,
    Conv,
    ReActBlock,
    binary_conv3x3,
    convolved_shortcut,
    hardtanh,
    padded_shortcut,
)

Block = Callable[[int, int, int, nn.Module], nn.Module]
Shortcut = Callable[[int, int, int], nn.Module]


def stage(
    block: Block, shortcut: Shortcut, inputs: int, outputs: int, blocks: int, stride: int
) -> nn.Sequential:
    """Builds a stage; only its first block changes shapes."""
    first = block(inputs, outputs, stride, shortcut(inputs, outputs, stride))
    rest = (block(outputs, outputs, 1, shortcut(outputs, outputs, 1)) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


class ResNet20(nn.Module):
    """Three stages of blocks, 16, 32 and 64 channels wide.

    Args:
        block: BasicBlock or BiRealBlock, with a method's layer; or ReActBlock.
        num_classes: Number of logits.
        shortcut: The shortcut where shapes change.
        stem_activation: The activation behind the first convolution.
        blocks: Blocks per stage: 6 of one convolution each are as deep as 3 of two.
    """

    def __init__(
        self,
        block: Block,
        num_classes: int,
        shortcut: Shortcut = padded_shortcut,
        stem_activation: Activation = hardtanh,
        blocks: int = 3,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.nonlinear1 = stem_activation(16)
        self.layer1 = stage(block, shortcut, 16, 16, blocks=blocks, stride=1)
        self.layer2 = stage(block, shortcut, 16, 32, blocks=blocks, stride=2)
        self.layer3 = stage(block, shortcut, 32, 64, blocks=blocks, stride=2)
        self.bn2 = nn.BatchNorm1d(64)
        self.linear = nn.Linear(64, num_classes)

    def stem(self, x: Tensor) -> Tensor:
        """Maps [N, 3, 32, 32] to [N, 16, 32, 32]."""
        return self.nonlinear1(self.bn1(self.conv1(x)))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [N, 3, 32, 32] to logits [N, num_classes]."""
        y = self.layer3(self.layer2(self.layer1(self.stem(x))))
        y = F.adaptive_avg_pool2d(y, 1).flatten(1)
        return self.linear(self.bn2(y))  # type: ignore[no-any-return]


class ResNet18(nn.Module):
    """Four stages of two blocks, 64 to 512 channels wide, with binary shortcuts.

    Args:
        num_classes: Number of logits.
        conv: The method's layer.
        shortcut_conv: The layer of the shortcuts; the method's own by default.
        block: BasicBlock or BiRealBlock.
        activation: The method's activation.
        stem_activation: The activation behind the first convolution; the reference has none.
    """

    def __init__(
        self,
        num_classes: int,
        conv: Conv = ROTATED,
        shortcut_conv: Conv | None = None,
        block: Callable[..., nn.Module] = BasicBlock,
        activation: Activation = hardtanh,
        stem_activation: Activation = nn.Identity,
    ) -> None:
        super().__init__()
        block = functools.partial(block, conv=conv, activation=activation)
        shortcut = functools.partial(convolved_shortcut, shortcut_conv or conv)
        self.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.nonlinear1 = stem_activation(64)
        self.layer1 = stage(block, shortcut, 64, 64, blocks=2, stride=1)
        self.layer2 = stage(block, shortcut, 64, 128, blocks=2, stride=2)
        self.layer3 = stage(block, shortcut, 128, 256, blocks=2, stride=2)
        self.layer4 = stage(block, shortcut, 256, 512, blocks=2, stride=2)
        self.linear = nn.Linear(512, num_classes)
        self.bn2 = nn.BatchNorm1d(512)

    def stem(self, x: Tensor) -> Tensor:
        """Maps [N, 3, 32, 32] to [N, 64, 32, 32]."""
        return self.nonlinear1(self.bn1(self.conv1(x)))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [N, 3, 32, 32] to logits [N, num_classes]."""
        y = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        y = F.adaptive_avg_pool2d(y, 1).flatten(1)
        return self.linear(self.bn2(y))  # type: ignore[no-any-return]


class VggSmall(nn.Module):
    """Six convolutions without shortcuts, the first in float, and one linear layer.

    Args:
        num_classes: Number of logits.
        conv: The method's layer.
        activation: Its activation.
    """

    def __init__(self, num_classes: int, conv: Conv = ROTATED, activation: Activation = hardtanh) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 128, kernel_size=3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(128)
        self.nonlinear0 = activation(128)
        self.conv1 = binary_conv3x3(128, 128, conv=conv)
        self.bn1 = nn.BatchNorm2d(128)
        self.nonlinear1 = activation(128)
        self.conv2 = binary_conv3x3(128, 256, conv=conv)
        self.bn2 = nn.BatchNorm2d(256)
        self.nonlinear2 = activation(256)
        self.conv3 = binary_conv3x3(256, 256, conv=conv)
        self.bn3 = nn.BatchNorm2d(256)
        self.nonlinear3 = activation(256)
        self.conv4 = binary_conv3x3(256, 512, conv=conv)
        self.bn4 = nn.BatchNorm2d(512)
        self.nonlinear4 = activation(512)
        self.conv5 = binary_conv3x3(512, 512, conv=conv)
        self.bn5 = nn.BatchNorm2d(512)
        self.nonlinear5 = activation(512)
        self.fc = nn.Linear(512 * 4 * 4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [N, 3, 32, 32] to logits [N, num_classes]."""
        y = self.nonlinear0(self.bn0(self.conv0(x)))
        y = self.nonlinear1(self.bn1(F.max_pool2d(self.conv1(y), 2)))
        y = self.nonlinear2(self.bn2(self.conv2(y)))
        y = self.nonlinear3(self.bn3(F.max_pool2d(self.conv3(y), 2)))
        y = self.nonlinear4(self.bn4(self.conv4(y)))
        y = self.nonlinear5(self.bn5(F.max_pool2d(self.conv5(y), 2)))
        return self.fc(y.flatten(1))  # type: ignore[no-any-return]


def resnet20_1w1a(num_classes: int) -> nn.Module:
    """Builds ResNet-20 with one shortcut per block."""
    return ResNet20(BasicBlock, num_classes)


def resnet20_bireal_1w1a(num_classes: int) -> nn.Module:
    """Builds ResNet-20 with one shortcut per convolution."""
    return ResNet20(BiRealBlock, num_classes)


def resnet20_sign_1w1a(num_classes: int) -> nn.Module:
    """Builds `resnet20_bireal_1w1a` without rotations, its activations compared with 0."""
    return ResNet20(functools.partial(BiRealBlock, conv=ScaledSignConv2d), num_classes)


def resnet20_react_1w1a(num_classes: int) -> nn.Module:
    """Builds ResNet-20 of ReActNet's blocks: a learned threshold per channel, and RPReLU."""
    return ResNet20(ReActBlock, num_classes, blocks=6)


def vgg_small_sign_1w1a(num_classes: int) -> nn.Module:
    """Builds `VggSmall` without rotations, its activations compared with 0."""
    return VggSmall(num_classes, conv=ScaledSignConv2d)
