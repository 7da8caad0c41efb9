"""ReSTE: Wu et al., "Estimator Meets Equilibrium Perspective", ICCV 2023."""

from typing import ClassVar

from torch import Tensor

from rbnn_deploy.pytorch.layers import SignConv2d


class ReSTEConv2d(SignConv2d):
    """ReSTE's layer: plain signs, and one scale for all channels, the mean magnitude of all weights."""

    sign_of_zero: ClassVar[int] = 0

    def scale(self) -> Tensor:
        """See `SignConv2d`."""
        return self.weight.detach().abs().mean().expand(self.out_channels)
