"""ReSTE's networks: BatchNorm stands behind the ReLU of each layer, and nothing behind the shortcut's sum."""

import torch.nn.functional as F
from torch import Tensor

from rbnn_deploy.pytorch.networks.blocks import BasicBlock
from rbnn_deploy.pytorch.networks.cifar import ResNet18, ResNet20, VggSmall
from rbnn_deploy.pytorch.networks.imagenet import ImageNetBlock, ImageNetResNet


class ReSTEBlock(BasicBlock):
    """Two binary convolutions and one shortcut around both."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        y = self.bn1(F.relu(self.conv1(x)))
        return self.bn2(F.relu(self.conv2(y))) + self.shortcut(x)  # type: ignore[no-any-return]


class ReSTEBiRealBlock(BasicBlock):
    """Two binary convolutions with a shortcut around each."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        y = self.bn1(F.relu(self.conv1(x))) + self.shortcut(x)
        return self.bn2(F.relu(self.conv2(y))) + y  # type: ignore[no-any-return]


class ReSTEImageNetBlock(ImageNetBlock):
    """The same, where the shortcut is called otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        y = self.bn1(F.relu(self.conv1(x))) + self.downsample(x)
        return self.bn2(F.relu(self.conv2(y))) + y  # type: ignore[no-any-return]


class ReSTEResNet20(ResNet20):
    """ResNet-20."""

    def stem(self, x: Tensor) -> Tensor:
        """Maps [N, 3, 32, 32] to [N, 16, 32, 32]."""
        return self.bn1(F.relu(self.conv1(x)))  # type: ignore[no-any-return]


class ReSTEResNet18(ResNet18):
    """ResNet-18 for 32 x 32 images."""

    def stem(self, x: Tensor) -> Tensor:
        """Maps [N, 3, 32, 32] to [N, 64, 32, 32]."""
        return self.bn1(F.relu(self.conv1(x)))  # type: ignore[no-any-return]


class ReSTEImageNetResNet(ImageNetResNet):
    """ResNet-18 and ResNet-34 for 224 x 224 images."""

    def stem(self, x: Tensor) -> Tensor:
        """Maps [N, 3, H, W] to [N, 64, H / 2, W / 2]."""
        return self.bn1(F.relu(self.conv1(x)))  # type: ignore[no-any-return]


class ReSTEVggSmall(VggSmall):
    """VGG-Small."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps images [N, 3, 32, 32] to logits [N, num_classes]."""
        y = self.bn0(F.relu(self.conv0(x)))
        for index in range(1, 6):
            conv, norm = (self.get_submodule(f"{kind}{index}") for kind in ("conv", "bn"))
            y = norm(F.relu(conv(y)))
            y = F.max_pool2d(y, 2) if index % 2 else y
        return self.fc(y.flatten(1))  # type: ignore[no-any-return]
