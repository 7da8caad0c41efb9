"""A convolution of plain signs: the layer of networks that rotate nothing, and the base of other rules."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.common_types import _size_2_t

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.operators import BinaryConv2dAttributes, Threshold
from rbnn_deploy.pytorch.layers.binary_layer import BinaryLayer, check_zero_padding, conv2d_attributes
from rbnn_deploy.pytorch.layers.signs import (
    SignGradient,
    binary_sign,
    sample_mean,
    standardized_sign,
    trainable_sign,
)


class SignConv2d(nn.Conv2d, BinaryLayer):
    """A convolution of the signs of its input with the signs of its weights, scaled per channel.

    With t the threshold, w the effective weights and s the scale:

        y = s * conv(sign(x - t), sign(w)) + bias

    Here t is 0, w is `weight` and s its mean magnitude per output channel (Rastegari et al., XNOR-Net, 2016,
    equation 6). A method with other rules is a subclass that says which `threshold`, `effective_weight` and
    `scale` it has.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: KH and KW.
        stride: As `torch.nn.Conv2d` has it.
        padding: As `torch.nn.Conv2d` has it, "same" and "valid" included.
        dilation: As `torch.nn.Conv2d` has it.
        groups: As `torch.nn.Conv2d` has it.
        bias: Whether a bias is added.
        padding_mode: Only "zeros", which come after the sign: a padded tap adds nothing.
        device: Where the parameters are.
        dtype: Type of the parameters.

    Attributes:
        threshold: The value that activations are compared with, the same for all layers of a class.
        sign_gradient: The gradient of the weights' sign in training; see `rbnn_deploy.begin_epoch`.
    """

    threshold: ClassVar[Threshold] = "zero"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _size_2_t,
        stride: _size_2_t = 1,
        padding: str | _size_2_t = 0,
        dilation: _size_2_t = 1,
        groups: int = 1,
        bias: bool = False,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Raises ValueError where torch.nn.Conv2d does, and for other padding modes."""
        check_zero_padding(padding_mode)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            device=device,
            dtype=dtype,
        )
        self.sign_gradient = SignGradient.at_epoch(0, 1)

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`: float [O, C / groups, KH, KW]."""
        return self.weight

    def scale(self) -> Tensor:
        """Returns the factor of each output channel, float [O]; it is not learned here."""
        return self.weight.detach().abs().mean((1, 2, 3))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.Conv2d gives it
        """Convolves the signs.

        Args:
            input: float [N, C, H, W].

        Returns:
            [N, O, OH, OW].
        """
        of_sample = self.threshold == "sample_mean"
        weights, scale = self.effective_weight().to(input.dtype), self.scale().to(input.dtype).view(-1, 1, 1)
        if self.training:
            binarise = standardized_sign if of_sample else trainable_sign
            x = binarise(input, self.sign_gradient.for_activations)
            weights = trainable_sign(weights, self.sign_gradient)
        else:
            x = binary_sign(input, sample_mean(input) if of_sample else 0.0)
            weights = binary_sign(weights)
        y = F.conv2d(x, weights, None, self.stride, self.padding, self.dilation, self.groups) * scale
        return y if self.bias is None else y + self.bias.view(-1, 1, 1)

    @property
    def attributes(self) -> BinaryConv2dAttributes:
        """See `BinaryLayer`."""
        return conv2d_attributes(self, self.threshold)

    @property
    def affine(self) -> ChannelAffine:
        """See `BinaryLayer`."""
        scale = self.scale().detach().cpu().double().numpy()
        bias = np.zeros_like(scale) if self.bias is None else self.bias.detach().cpu().double().numpy()
        return ChannelAffine(scale, bias)

    def set_sign_gradient(self, gradient: SignGradient) -> None:
        """See `BinaryLayer`."""
        self.sign_gradient = gradient


class ScaledSignConv2d(SignConv2d):
    """A `SignConv2d` whose scale is learned, as in `RotatedBinaryConv2d`: the layer without its rotation.

    Attributes:
        alpha: [O, 1, 1], the scale; at first the mean magnitude of the weights per output channel.
    """

    parameter_groups: ClassVar[Mapping[str, str]] = {"weight": "binary", "alpha": "scale"}

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes the arguments of `SignConv2d`."""
        super().__init__(*arguments, **options)
        self.alpha = nn.Parameter(super().scale().view(-1, 1, 1).clone())

    def scale(self) -> Tensor:
        """See `SignConv2d`: float [O]."""
        return self.alpha.flatten()
