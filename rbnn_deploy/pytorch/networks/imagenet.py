"""The reference networks for 224 x 224 images; attribute names are the keys of its checkpoints."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.networks.blocks import ROTATED, Activation, Conv, binary_conv3x3, hardtanh

WIDTHS = (64, 128, 256, 512)


class ImageNetBlock(nn.Module):
    """Two binary convolutions with a shortcut around each; where shapes change, a float one.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Stride of the first convolution and of its shortcut.
        conv: The method's layer.
        activation: Its activation.
        pooled: Whether the float shortcut takes means of pixels in place of every second one.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, conv: Conv, activation: Activation, pooled: bool
    ) -> None:
        super().__init__()
        self.conv1 = binary_conv3x3(inputs, outputs, stride, conv)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.nonlinear1 = activation(outputs)
        self.conv2 = binary_conv3x3(outputs, outputs, conv=conv)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.nonlinear2 = activation(outputs)
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            if pooled:
                self.downsample.append(nn.AvgPool2d(stride))
            step = 1 if pooled else stride
            self.downsample.append(nn.Conv2d(inputs, outputs, kernel_size=1, stride=step, bias=False))
            self.downsample.append(nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        y = self.nonlinear1(self.bn1(self.conv1(x)) + self.downsample(x))
        return self.nonlinear2(self.bn2(self.conv2(y)) + y)  # type: ignore[no-any-return]


class ImageNetResNet(nn.Module):
    """Four stages of blocks, 64 to 512 channels wide, behind a float 7 x 7 convolution.

    The reference also has a BatchNorm `bn3` that its forward pass never uses; this network leaves it out.

    Args:
        blocks: Number of blocks of each stage.
        num_classes: Number of logits.
        conv: The method's layer.
        activation: Its activation.
        stem_activation: The activation behind the first convolution.
        pooled_shortcuts: Whether shortcuts that change shapes take means of pixels.
        block: ImageNetBlock, or one that computes in another order.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        num_classes: int,
        conv: Conv = ROTATED,
        activation: Activation = hardtanh,
        stem_activation: Activation = hardtanh,
        pooled_shortcuts: bool = False,
        block: Callable[..., nn.Module] = ImageNetBlock,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.nonlinear1 = stem_activation(64)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(
                block(inputs, width, stride, conv, activation, pooled_shortcuts),
                *(block(width, width, 1, conv, activation, pooled_shortcuts) for _ in range(count - 1)),
            )
            for inputs, width, stride, count in zip((64, *WIDTHS), WIDTHS, (1, 2, 2, 2), blocks, strict=False)
        )
        self.bn2 = nn.BatchNorm1d(512)
        self.fc = nn.Linear(512, num_classes)

    def stem(self, x: Tensor) -> Tensor:
        """Maps [N, 3, H, W] to [N, 64, H / 2, W / 2]."""
        return self.nonlinear1(self.bn1(self.conv1(x)))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [N, 3, 224, 224] to logits [N, num_classes]."""
        y = F.max_pool2d(self.stem(x), kernel_size=3, stride=2, padding=1)
        y = self.layer4(self.layer3(self.layer2(self.layer1(y))))
        y = F.adaptive_avg_pool2d(y, 1).flatten(1)
        return self.fc(self.bn2(y))  # type: ignore[no-any-return]


def resnet18_1w1a(num_classes: int) -> nn.Module:
    """Builds ResNet-18."""
    return ImageNetResNet((2, 2, 2, 2), num_classes)


def resnet34_1w1a(num_classes: int) -> nn.Module:
    """Builds ResNet-34."""
    return ImageNetResNet((3, 4, 6, 3), num_classes)
