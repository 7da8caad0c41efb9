"""The folded layer with thresholds per channel, or with terms beside its bias."""

from typing import cast

import torch
from torch import Tensor

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.operators import BinaryConv2dAttributes, GeneralBinaryConv2dAttributes
from rbnn_deploy.pytorch.folding.binary_conv2d import BinaryConv2d
from rbnn_deploy.pytorch.folding.general_torch_operator import general_binary_conv2d
from rbnn_deploy.window_terms import WindowTerms


class GeneralBinaryConv2d(BinaryConv2d):
    """A binary convolution in its deployed form (docs/ops/GeneralBinaryConv2d.md), on channels-first tensors.

    Args:
        attributes: As `BinaryConv2d` has them; the threshold is "zero" where `thresholds` are given.
        weight: Likewise.
        affine: Likewise.
        thresholds: [C] or [1], what inputs are compared with; None for the rule of `attributes`.
        terms: What is added beside the bias; None where nothing is.
    """

    _thresholds: Tensor | None
    window_sum: Tensor | None
    border: Tensor | None

    def __init__(
        self,
        attributes: BinaryConv2dAttributes,
        weight: Tensor,
        affine: ChannelAffine,
        thresholds: Tensor | None,
        terms: WindowTerms | None,
    ) -> None:
        super().__init__(attributes, weight, affine)
        if thresholds is not None and attributes.threshold != "zero":
            raise ValueError('a layer with thresholds of its own has the rule "zero"')
        values = None if thresholds is None else thresholds.detach().to(torch.float32).clone()
        self.register_buffer("_thresholds", values)
        self.register_buffer("window_sum", None)
        self.register_buffer("border", None)
        self._terms = terms
        self._round_terms()

    @property
    def thresholds(self) -> Tensor | None:
        """See `BinaryLayer`."""
        return self._thresholds

    @property
    def window_terms(self) -> WindowTerms | None:
        """See `BinaryLayer`; in float64."""
        return self._terms

    def append(self, outer: ChannelAffine) -> None:
        """See `BinaryConv2d`."""
        super().append(outer)
        if self._terms is not None:
            self._terms = self._terms.scaled(outer.multiplier)
            self._round_terms()

    def _round_terms(self) -> None:
        if self._terms is not None:
            window_sum, border = self._terms.rounded()
            self.window_sum = torch.from_numpy(window_sum).to(self.weight.device)
            self.border = torch.from_numpy(border).to(self.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        """Computes the layer.

        Args:
            x: float32 [N, C, H, W].

        Returns:
            float32 [N, O, OH, OW].
        """
        values = self._attributes.to_dict()
        values |= {"residual": "before_activation", "pad_value": 0}
        if self._thresholds is not None:
            values["threshold"] = "per_channel"
        attributes = GeneralBinaryConv2dAttributes.from_mapping(values).to_dict().values()
        tensors = (self.weight, self.scale, self.bias, self._thresholds, self.window_sum, self.border)
        return cast(Tensor, general_binary_conv2d(x, *tensors, *attributes))
