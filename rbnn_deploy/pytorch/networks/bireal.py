"""The networks of Bi-Real Net and its successors for 224 x 224 images: one shortcut per convolution."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.methods import BiRealConv2d

WIDTHS = (64, 128, 256, 512)


class BiRealBlock(nn.Module):
    """One binary convolution with a shortcut around it, and no activation (arXiv 1808.00278, figure 3b).

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the convolution.
        downsample: Maps the block's input to its output's shape.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, downsample: nn.Module) -> None:
        super().__init__()
        self.binary_conv = BiRealConv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        return self.bn1(self.binary_conv(x)) + self.downsample(x)  # type: ignore[no-any-return]


class BiRealNet(nn.Module):
    """Four stages of blocks, 64 to 512 channels wide, behind a float 7 x 7 convolution without activation.

    Args:
        block: BiRealBlock or ReActBlock.
        blocks: Number of blocks of each stage.
        num_classes: Number of logits.
    """

    def __init__(
        self,
        block: Callable[[int, int, int, nn.Module], nn.Module],
        blocks: Sequence[int],
        num_classes: int,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(
                block(inputs, width, stride, _downsample(inputs, width, stride)),
                *(block(width, width, 1, nn.Sequential()) for _ in range(count - 1)),
            )
            for inputs, width, stride, count in zip((64, *WIDTHS), WIDTHS, (1, 2, 2, 2), blocks, strict=False)
        )
        self.fc = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [N, 3, 224, 224] to logits [N, num_classes]."""
        y = F.max_pool2d(self.bn1(self.conv1(x)), kernel_size=3, stride=2, padding=1)
        y = self.layer4(self.layer3(self.layer2(self.layer1(y))))
        return self.fc(F.adaptive_avg_pool2d(y, 1).flatten(1))  # type: ignore[no-any-return]


def _downsample(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(
        nn.AvgPool2d(kernel_size=2, stride=stride),
        nn.Conv2d(inputs, outputs, kernel_size=1, bias=False),
        nn.BatchNorm2d(outputs),
    )
