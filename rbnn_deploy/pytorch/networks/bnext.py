"""BNext, binary networks with squeeze-and-excitation; attribute names are the keys of its checkpoints."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.methods import BNextConv2d
from rbnn_deploy.pytorch.networks.blocks import LearnableBias, binary_conv3x3

IMAGENET_CLASSES = 1000
_REDUCTION = 8
# Model -> channels of the stem, and blocks of each stage, whose channels double from stage to stage.
SIZES: dict[str, tuple[int, tuple[int, ...]]] = {
    "tiny": (32, (1, 2, 2, 6, 2)),
    "small": (48, (1, 2, 2, 6, 2)),
    "middle": (48, (1, 4, 4, 8, 4)),
    "large": (48, (1, 4, 4, 16, 4)),
    "super": (64, (1, 4, 4, 16, 4)),
}


class FirstConvolution(nn.Module):
    """The float 3 x 3 convolution that reads the image.

    Args:
        outputs: Channels out.
        stride: Of the convolution.

    Attributes:
        prelu: Nothing uses it; the published code has it.
    """

    def __init__(self, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, 3, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        return self.bn1(self.conv1(x))  # type: ignore[no-any-return]


class Temperature(nn.Module):
    """Holds the temperature of a sign; it matters in training alone, because it is positive."""

    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.ones(1))


class SqueezeAndExpand(nn.Module):
    """One factor between 0 and 1 per channel, from the means of all (Hu et al., CVPR 2018).

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.se = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // _REDUCTION, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(channels // _REDUCTION, channels, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to [N, C, 1, 1]."""
        return torch.sigmoid(self.se(x))


class BNextUnit(nn.Module):
    """One binary layer with what surrounds it; subclasses say how its output and its input are put together.

    Args:
        channels: C, in and out.
        kernel_size: Of the binary layer.
        stride: 1 or 2.

    Attributes:
        activation1: Not every subclass uses it; the published code has it in all.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.move = LearnableBias(channels)
        self.binary_activation = Temperature()
        if kernel_size == 1:
            self.binary_conv: nn.Module = BNextConv2d(channels, channels, kernel_size=1)
        else:
            self.binary_conv = binary_conv3x3(channels, channels, stride, BNextConv2d)
        self.norm1 = nn.BatchNorm2d(channels)
        self.norm2 = nn.BatchNorm2d(channels)
        self.activation1 = nn.PReLU(channels)
        self.activation2 = nn.PReLU(channels)
        self.se = SqueezeAndExpand(channels)
        self.scale = nn.Parameter(torch.full((1, channels, 1, 1), 0.5))
        # The published code keeps it there in evaluation mode as well in these units alone.
        self._clamped = kernel_size == 1

    def pooled(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to the size of the output."""
        return F.avg_pool2d(x, 2) if self.stride == 2 else x

    def recoupled(self, x: Tensor) -> Tensor:
        """Returns the binary layer's output, weighted by a mix of it and of the input.

        Args:
            x: [N, C, H, W].

        Returns:
            [N, C, H / stride, W / stride].
        """
        y = self.activation2(self.norm1(self.binary_conv(self.move(x))))
        scale = self.scale.clamp(0, 1) if self._clamped else self.scale
        mixed = scale * self.pooled(x) + (1 - scale) * y
        return self.se(mixed) * y  # type: ignore[no-any-return]


class Attention(BNextUnit):
    """The output multiplied by a shortcut, and added to it."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to [N, C, H / stride, W / stride]."""
        shortcut = self.pooled(self.activation1(x))
        return self.norm2(self.recoupled(x) * shortcut) + shortcut  # type: ignore[no-any-return]


class FeedForward(BNextUnit):
    """The output added to a shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to [N, C, H / stride, W / stride]."""
        return self.norm2(self.recoupled(x)) + self.pooled(x)  # type: ignore[no-any-return]


class BNextBlock(nn.Module):
    """A 3 x 3 unit, and a 1 x 1 unit; where channels double, two of those side by side.

    Args:
        inputs: Channels in.
        outputs: Channels out: as many, or twice as many.
        stride: Of the 3 x 3 unit.
        multiplies: Whether the 3 x 3 unit is an `Attention`.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, multiplies: bool) -> None:
        super().__init__()
        self.Attention = (Attention if multiplies else FeedForward)(inputs, 3, stride)
        self._names = ("FFN",) if inputs == outputs else ("FFN_1", "FFN_2")
        for name in self._names:
            self.add_module(name, FeedForward(inputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        y = self.Attention(x)
        results = [self.get_submodule(name)(y) for name in self._names]
        return results[0] if len(results) == 1 else torch.cat(results, 1)


def _channels(stem: int, blocks: Sequence[int]) -> list[int]:
    """Returns the output channels of the stem and of each block."""
    return [stem, *(stem * 2 ** (stage + 1) for stage, count in enumerate(blocks) for _ in range(count))]


class BNext(nn.Module):
    """Blocks of 64 to 2048 channels behind a float 3 x 3 convolution, every second with an `Attention`.

    Args:
        size: Key of `SIZES`.
        num_classes: Number of logits. As in the published code, the stem halves the map where it is 1000.
    """

    def __init__(self, size: str, num_classes: int) -> None:
        super().__init__()
        widths = _channels(*SIZES[size])
        self.feature = nn.Sequential(FirstConvolution(widths[0], 2 if num_classes == IMAGENET_CLASSES else 1))
        for index, (inputs, outputs) in enumerate(pairwise(widths), start=1):
            stride = 2 if inputs != outputs and index > 1 else 1
            self.feature.append(BNextBlock(inputs, outputs, stride, multiplies=index % 2 == 0))
        self.prelu = nn.PReLU(widths[-1])
        self.fc = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [N, 3, H, W] to logits [N, num_classes]."""
        y = self.prelu(self.feature(x))
        return self.fc(F.adaptive_avg_pool2d(y, 1).flatten(1))  # type: ignore[no-any-return]
