"""BinaryNet: Hubara et al., "Binarized Neural Networks", NIPS 2016, as its authors' PyTorch code has it."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import SignConv2d
from rbnn_deploy.pytorch.layers.signs import binary_sign


class BinarizeConv2d(SignConv2d):
    """BinaryNet's layer: plain signs without a scale (section 1.1), with a bias."""

    sign_of_zero: ClassVar[int] = 0

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`."""
        return self.weight

    def scale(self) -> Tensor:
        """See `SignConv2d`: 1 for each channel."""
        return torch.ones(self.out_channels, device=self.weight.device, dtype=self.weight.dtype)


class BinarizeLinear(BinarizeConv2d):
    """Its linear layer, as the convolution of a whole map, which it reads without being flattened.

    Args:
        in_features: C * size * size.
        out_features: O.
        size: Rows and columns of the map; 1 for features that are none.

    Attributes:
        weight: [O, in_features], as the published code stores it.
    """

    def __init__(self, in_features: int, out_features: int, size: int = 1) -> None:
        super().__init__(in_features // size**2, out_features, kernel_size=size, bias=True)
        self._shape = tuple(self.weight.shape)
        self.weight = nn.Parameter(self.weight.detach().flatten(1))

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`."""
        return self.weight.view(self._shape)


class SignWeightConv2d(nn.Conv2d):
    """The layer that reads the image: float inputs and the signs of weights. It stays a float layer."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.Conv2d gives it
        """Convolves [N, C, H, W] to [N, O, OH, OW]."""
        weight = binary_sign(self.weight)
        return F.conv2d(input, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
