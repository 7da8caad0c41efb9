"""A binary layer, as folding, comparing, inspecting and training know it: bits, scale, bias and threshold.

A new kind is a module that inherits `BinaryLayer` beside its torch class and says which bits it convolves; it
needs no change elsewhere. In evaluation mode, and up to float rounding, it must compute

    y = scale * conv(sign(x - t), sign(effective_weight)) + bias,    sign(0) = +1

with zero padding after the sign: docs/ops/BinaryConv2d.md, channels first, without residual and activation.
Where it has `thresholds`, they are t. Where it has `window_terms`, they are added as docs/ops has them on the
page of GeneralBinaryConv2d.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.operators import BinaryConv2dAttributes, Threshold
from rbnn_deploy.pytorch.layers.signs import SignGradient
from rbnn_deploy.window_terms import WindowTerms


class BinaryLayer(nn.Module, ABC):
    """A module whose weights and inputs count by their signs only.

    Attributes:
        parameter_groups: The optimizer's group of each parameter, by its name; all others are "float".
        sign_of_zero: The sign that the method's published code gives an input on its threshold. Layers and
            deployed bits have +1 everywhere; `compare` and `export` say where inputs make a difference of it.
    """

    parameter_groups: ClassVar[Mapping[str, str]] = {"weight": "binary"}
    sign_of_zero: ClassVar[int] = 1

    @property
    @abstractmethod
    def attributes(self) -> BinaryConv2dAttributes:
        """Channels, geometry and the threshold's rule; the activation is "none"."""

    @property
    @abstractmethod
    def affine(self) -> ChannelAffine:
        """Scale and bias, float64 [O]."""

    @property
    def thresholds(self) -> Tensor | None:
        """Thresholds per input channel, [C] or [1]; None where the rule of `attributes` says them.

        Where they are given, that rule is "zero".
        """
        return None

    @property
    def window_terms(self) -> WindowTerms | None:
        """What is added beside the bias; None where nothing is."""
        return None

    @abstractmethod
    def effective_weight(self) -> Tensor:
        """Returns the values whose signs are the bits: float [O, C / groups, KH, KW]."""

    def set_sign_gradient(self, gradient: SignGradient) -> None:
        """Takes the gradient that training puts in the place of the sign's, at the beginning of an epoch."""

    def begin_epoch(self) -> None:
        """Does what the method does once an epoch, before its first step; it may change buffers only.

        One of several processes does it, and sends its buffers to the others.
        """

    def refusal(self) -> str:
        """Says in a clause why the layer is not binary, and what to do; empty where it is."""
        return ""

    def untrained(self) -> str:
        """Says in a clause which part of the training never happened; empty where none is missing."""
        return ""


def check_zero_padding(padding_mode: str) -> None:
    """Refuses padding modes of torch that the operator does not have.

    Raises:
        ValueError: It is not "zeros".
    """
    if padding_mode != "zeros":
        raise ValueError(
            f"padding_mode must be 'zeros', not {padding_mode!r}: only zeros add nothing to a sum of bits"
        )


def conv2d_attributes(layer: nn.Conv2d, threshold: Threshold) -> BinaryConv2dAttributes:
    """Returns the operator's attributes with the geometry of a torch convolution."""
    if isinstance(layer.padding, str):  # as torch does, "same" puts the odd pixel at the end
        whole = [0, 0]
        if layer.padding == "same":
            whole = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        before = [size // 2 for size in whole]
        after = [size - size // 2 for size in whole]
    else:
        before = after = [int(size) for size in layer.padding]
    return BinaryConv2dAttributes(
        channels=layer.in_channels,
        strides=(layer.stride[0], layer.stride[1]),
        pads=(before[0], before[1], after[0], after[1]),
        dilations=(layer.dilation[0], layer.dilation[1]),
        groups=layer.groups,
        threshold=threshold,
    )
