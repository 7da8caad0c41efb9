"""ReActNet-A, MobileNetV1 with binary layers; attribute names are the keys of its checkpoints."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.methods import BiRealConv2d
from rbnn_deploy.pytorch.networks.blocks import LearnableBias, binary_conv3x3

# Output channels of the stem and of each block.
WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)


class FirstConvolution(nn.Module):
    """The float 3 x 3 convolution with stride 2 that reads the image.

    Args:
        outputs: Channels out.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, outputs, kernel_size=3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, 3, H, W] to [N, outputs, ceil(H / 2), ceil(W / 2)]."""
        return self.bn1(self.conv1(x))  # type: ignore[no-any-return]


class MobileBlock(nn.Module):
    """A binary 3 x 3 and a binary 1 x 1 layer, a shortcut around each (ReActNet, ECCV 2020, figure 5).

    Where channels double, two 1 x 1 layers read the same signs; each has the block's middle as its shortcut,
    and their outputs stand side by side. Where the stride is 2, means of 2 x 2 pixels are the first shortcut.

    The last shift, PReLU and shift are of all channels. They are applied to each half on its own, where they
    are part of the layer.

    Args:
        inputs: Channels in.
        outputs: Channels out: as many, or twice as many.
        stride: 1 or 2.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.move11 = LearnableBias(inputs)
        self.binary_3x3 = binary_conv3x3(inputs, inputs, stride, BiRealConv2d)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.move12 = LearnableBias(inputs)
        self.prelu1 = nn.PReLU(inputs)
        self.move13 = LearnableBias(inputs)
        self.move21 = LearnableBias(inputs)
        names = [("binary_pw", "bn2"), ("binary_pw_down1", "bn2_1"), ("binary_pw_down2", "bn2_2")]
        self._halves = names[:1] if inputs == outputs else names[1:]
        for layer, norm in self._halves:
            self.add_module(layer, BiRealConv2d(inputs, inputs, kernel_size=1))
            self.add_module(norm, nn.BatchNorm2d(inputs))
        self.move22 = LearnableBias(outputs)
        self.prelu2 = nn.PReLU(outputs)
        self.move23 = LearnableBias(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        shortcut = F.avg_pool2d(x, 2) if self.stride == 2 else x
        y = self.bn1(self.binary_3x3(self.move11(x))) + shortcut
        y = self.move13(self.prelu1(self.move12(y)))
        signs = self.move21(y)
        halves = []
        for index, (layer, norm) in enumerate(self._halves):
            z = getattr(self, norm)(getattr(self, layer)(signs)) + y
            part = slice(index * z.shape[1], (index + 1) * z.shape[1])
            z = F.prelu(z + self.move22.bias[:, part], self.prelu2.weight[part])
            halves.append(z + self.move23.bias[:, part])
        return halves[0] if len(halves) == 1 else torch.cat(halves, 1)


class ReActNetA(nn.Module):
    """Thirteen blocks, 64 to 1024 channels wide, behind a float 3 x 3 convolution.

    Args:
        num_classes: Number of logits.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.feature = nn.Sequential(FirstConvolution(WIDTHS[0]))
        for inputs, outputs in pairwise(WIDTHS):
            stride = 2 if inputs != outputs and outputs != WIDTHS[1] else 1
            self.feature.append(MobileBlock(inputs, outputs, stride))
        self.fc = nn.Linear(WIDTHS[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [N, 3, 224, 224] to logits [N, num_classes]."""
        y = self.feature(x)
        return self.fc(F.adaptive_avg_pool2d(y, 1).flatten(1))  # type: ignore[no-any-return]
