"""Binary linear layers: convolutions of one tap, whose pixels are the rows of their input.

They are not operators of their own. A row of features is the channels of a pixel, so folding, kernels and the
comparison treat a linear layer as the 1 x 1 convolution that it is.
"""

from typing import Any

import torch
from torch import Tensor, nn

from rbnn_deploy.operators import Threshold
from rbnn_deploy.pytorch.layers.binary_layer import BinaryLayer
from rbnn_deploy.pytorch.layers.rotated_conv import RotatedBinaryConv2d, binary_convolution


class BinaryLinear(nn.Module):
    """Applies a binary 1 x 1 convolution to the last axis of its input.

    Args:
        convolution: A binary layer that is a `torch.nn.Conv2d` with one tap, stride 1 and no padding.

    Attributes:
        convolution: The same; it holds the weights, [O, C, 1, 1].

    Raises:
        ValueError: The convolution has another geometry.
    """

    def __init__(self, convolution: BinaryLayer) -> None:
        super().__init__()
        attributes = convolution.attributes
        kernel = tuple(convolution.effective_weight().shape[2:])
        if kernel != (1, 1) or attributes.strides != (1, 1) or any(attributes.pads):
            raise ValueError(f"a linear layer needs one tap, stride 1 and no padding: {convolution}")
        self.convolution = convolution

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.Linear gives it
        """Computes the products.

        A threshold of the sample's mean takes all rows of a sample together.

        Args:
            input: float [N, C], or [N, ..., C] with any number of rows per sample.

        Returns:
            [N, O], or [N, ..., O].
        """
        if input.ndim == 2:
            result: Tensor = self.convolution(input[:, :, None, None])
            return result.flatten(1)
        rows = input.flatten(1, -2)
        result = self.convolution(rows.transpose(1, 2).unsqueeze(-1)).squeeze(-1).transpose(1, 2)
        return result if input.ndim == 3 else result.reshape(*input.shape[:-1], -1)


class RotatedBinaryLinear(BinaryLinear):
    """The rotated binary layer in the place of `torch.nn.Linear`; see `RotatedBinaryConv2d`.

    Args:
        in_features: C.
        out_features: O.
        bias: Whether a bias is added, before the multiplication with the scale.
        device: Where the parameters are.
        dtype: Type of the parameters.
        threshold: The value that activations are compared with: "sample_mean", or "zero" for a plain sign.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        threshold: Threshold = "sample_mean",
    ) -> None:
        super().__init__(
            RotatedBinaryConv2d(
                in_features, out_features, 1, bias=bias, device=device, dtype=dtype, threshold=threshold
            )
        )


def binary_linear(layer: nn.Linear) -> BinaryLinear:
    """Builds the rotated binary layer that starts from a linear one; see `binary_convolution`.

    Args:
        layer: The linear layer.
    """
    convolution = nn.Conv2d(
        layer.in_features,
        layer.out_features,
        1,
        bias=layer.bias is not None,
        device=layer.weight.device,
        dtype=layer.weight.dtype,
    )
    with torch.no_grad():
        convolution.weight.copy_(layer.weight[:, :, None, None])
        if convolution.bias is not None:
            convolution.bias.copy_(layer.bias)
    return BinaryLinear(binary_convolution(convolution.train(layer.training))).train(layer.training)
