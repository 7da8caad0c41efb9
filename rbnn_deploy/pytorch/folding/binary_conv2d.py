"""The folded layer: bits, one scale and one bias per channel, and no float weights."""

from typing import cast

import torch
from torch import Tensor

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.operators import BinaryConv2dAttributes
from rbnn_deploy.pytorch.folding.torch_operator import binary_conv2d, unpack_weight
from rbnn_deploy.pytorch.layers import BinaryLayer


class BinaryConv2d(BinaryLayer):
    """A binary convolution in its deployed form (docs/ops/BinaryConv2d.md), on channels-first tensors.

    Args:
        attributes: The operator's attributes; `activation` must be "none" (a module of its own in torch).
        weight: uint8 [O, KH, KW, ceil(C / groups / 8)], as rbnn_deploy.bits has it.
        affine: Multiplier and offset of the integer sums, in float64 [O].
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, attributes: BinaryConv2dAttributes, weight: Tensor, affine: ChannelAffine) -> None:
        super().__init__()
        if attributes.activation != "none":
            raise ValueError("in torch the activation is a module of its own")
        self._attributes = attributes
        self.register_buffer("weight", weight)
        self.register_buffer("scale", None)
        self.register_buffer("bias", None)
        self.set_affine(affine)

    @property
    def attributes(self) -> BinaryConv2dAttributes:
        """See `BinaryLayer`."""
        return self._attributes

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`: the bits as +1 and -1, float32 [O, C / groups, KH, KW]."""
        return unpack_weight(self.weight, self._attributes.group_channels)

    @property
    def affine(self) -> ChannelAffine:
        """The map from integer sums to outputs, in float64."""
        return self._affine

    def set_affine(self, affine: ChannelAffine) -> None:
        """Replaces the map; keeps it in float64, so that later folds round only once."""
        self._affine = affine
        scale, bias = affine.rounded()
        self.scale = torch.from_numpy(scale).to(self.weight.device)
        self.bias = torch.from_numpy(bias).to(self.weight.device)

    def append(self, outer: ChannelAffine) -> None:
        """Takes up a map behind the layer."""
        self.set_affine(outer.after(self._affine))

    def forward(self, x: Tensor) -> Tensor:
        """Computes the layer.

        Args:
            x: float32 [N, C, H, W].

        Returns:
            float32 [N, O, OH, OW].
        """
        values = self._attributes.to_dict().values()
        return cast(Tensor, binary_conv2d(x, self.weight, self.scale, self.bias, *values))

    def extra_repr(self) -> str:
        """Names the attributes when the module is printed."""
        return f"{list(self.weight.shape)}, {self._attributes}"
