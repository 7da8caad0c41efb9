"""Bi-Real Net: Liu et al., "Bi-Real Net: Enhancing the Performance of 1-bit CNNs", ECCV 2018."""

from typing import Any, ClassVar

from torch import Tensor, nn

from rbnn_deploy.pytorch.layers import SignConv2d


class BiRealConv2d(SignConv2d):
    """Bi-Real Net's layer: plain signs, the mean magnitude as the scale (section 3.3), and flat weights.

    Attributes:
        weights: [O * C * KH * KW, 1], as the published code stores them.
    """

    sign_of_zero: ClassVar[int] = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes the arguments of `SignConv2d`."""
        super().__init__(*arguments, **options)
        weight = self.weight
        self._shape = tuple(weight.shape)
        del self.weight
        self.weights = nn.Parameter(weight.detach().reshape(-1, 1))

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`."""
        return self.weights.view(self._shape)

    def scale(self) -> Tensor:
        """See `SignConv2d`."""
        return self.effective_weight().detach().abs().mean((1, 2, 3))
