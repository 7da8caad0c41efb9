"""Exports binary layers of a user's own class: they say what it computes, and keep its code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rbnn_deploy.affine import ChannelAffine
from rbnn_deploy.errors import UserError
from rbnn_deploy.operators import BinaryConv2dAttributes, Threshold
from rbnn_deploy.pytorch.folding.fold import unwrapped
from rbnn_deploy.pytorch.folding.user_code import code_around, copied
from rbnn_deploy.pytorch.layers import BinaryLayer, binary_sign, conv2d_attributes
from rbnn_deploy.pytorch.replacing import replace_modules
from rbnn_deploy.window_terms import WindowTerms, two_levels


@dataclass(frozen=True, kw_only=True)
class BinaryConvolution:
    """Describes a binary convolution in evaluation mode, with zero padding after the sign of its input.

        y = scale * conv(sign(x - t), sign(weight)) + bias,    sign(0) = +1

    Activations and weights may have two levels around another number than 0; padding is 0 all the same:

        y = conv(level(x - t), scale * sign(weight) + offset) + bias,    level(v) = low where v < 0, else high

    Attributes:
        weight: float [O, C / groups, KH, KW]; only the signs count.
        scale: Per output channel, of any shape with O elements, or one number.
        bias: Likewise, added after the scale.
        threshold: What x is compared with: "zero"; "sample_mean", the mean over one sample's C, H and W; or
            numbers, one per input channel or one for all.
        levels: What activations become: (low, high); bits 0 and 1 are (0.0, 1.0).
        offset: As scale, added to the weights' signs times the scale.
        geometry: A convolution with the stride, padding, dilation and groups; None where the layer itself is
            a torch.nn.Conv2d.
    """

    weight: Tensor
    scale: Tensor | float = 1.0
    bias: Tensor | float = 0.0
    threshold: Threshold | Tensor | float = "zero"
    levels: tuple[float, float] = (-1.0, 1.0)
    offset: Tensor | float = 0.0
    geometry: nn.Conv2d | None = None


class AdaptedLayer(BinaryLayer):
    """A layer of a user's own class with its description; it computes what the layer does.

    Args:
        layer: The user's layer.
        describe: Describes it as it is now.
        name: What it is called in an error.
    """

    def __init__(self, layer: nn.Module, describe: Callable[[Any], BinaryConvolution], name: str) -> None:
        super().__init__()
        self.layer = layer
        self._describe, self._name = describe, name

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        """Runs the user's code."""
        return self.layer(*arguments, **keywords)

    @property
    def attributes(self) -> BinaryConv2dAttributes:
        """See `BinaryLayer`."""
        description = self._description()
        geometry = self.layer if description.geometry is None else description.geometry
        if not isinstance(geometry, nn.Conv2d):
            raise UserError(
                f"{self._name} ({type(self.layer).__name__}) is no torch.nn.Conv2d, so its description must "
                "name one as `geometry`, with its stride, padding, dilation and groups"
            )
        if geometry.padding_mode != "zeros":
            raise UserError(
                f"{self._name} pads by {geometry.padding_mode!r}; a padded bit can only add 0, so use 'zeros'"
            )
        rule = description.threshold
        return conv2d_attributes(geometry, rule if isinstance(rule, str) else "zero")

    @property
    def affine(self) -> ChannelAffine:
        """See `BinaryLayer`."""
        affine, _ = self._terms()
        description = self._description()
        bias = self._numbers("bias", description.bias, len(description.weight), "output")
        return ChannelAffine(affine.multiplier, affine.offset + bias)

    @property
    def thresholds(self) -> Tensor | None:
        """See `BinaryLayer`."""
        threshold = self._description().threshold
        if isinstance(threshold, str):
            return None
        values = self._numbers("threshold", threshold, self.attributes.channels, "input")
        return torch.from_numpy(values.astype(np.float32))

    @property
    def window_terms(self) -> WindowTerms | None:
        """See `BinaryLayer`; None for levels around 0."""
        _, terms = self._terms()
        return terms if terms.window_sum.any() or terms.border.any() else None

    def _terms(self) -> tuple[ChannelAffine, WindowTerms]:
        """Returns the layer without its bias."""
        description = self._description()
        scale, offset = (
            self._numbers(name, value, len(description.weight), "output")
            for name, value in (("scale", description.scale), ("offset", description.offset))
        )
        low, high = description.levels
        signs = binary_sign(description.weight.detach().double()).cpu().numpy()
        return two_levels(signs, scale, offset, centre=(high + low) / 2, half=(high - low) / 2)

    def _numbers(self, name: str, value: Tensor | float, channels: int, side: str) -> npt.NDArray[np.float64]:
        """Returns one number per channel."""
        numbers = torch.as_tensor(value).detach().double().flatten().cpu().numpy()
        if numbers.size not in (1, channels):
            raise UserError(
                f"the {name} of {self._name} has {numbers.size} elements for {channels} {side} channels; "
                "give one, or one per channel"
            )
        return np.broadcast_to(numbers, (channels,)).copy()

    def effective_weight(self) -> Tensor:
        """See `BinaryLayer`."""
        return self._description().weight.detach()

    def _description(self) -> BinaryConvolution:
        try:
            description = self._describe(self.layer)
        except Exception as error:  # whatever a user's code raises
            cause = (str(error).strip().splitlines() or [""])[0]
            raise UserError(
                f"describing {self._name} failed with {type(error).__name__} ({cause}); mend the function"
            ) from error
        if not isinstance(description, BinaryConvolution):
            raise UserError(
                f"the description of {self._name} is a {type(description).__name__}; "
                "return a BinaryConvolution"
            )
        return description


def adapt(
    model: nn.Module, descriptions: Mapping[type[nn.Module], Callable[[Any], BinaryConvolution]]
) -> nn.Module:
    """Describes binary layers of a user's own classes, so that they are exported, compared and inspected.

    Nothing about the classes changes. `export` compares a few random inputs with the user's own code, so a
    description that does not hold is found there.

    Args:
        model: The network; it is not changed.
        descriptions: By class (subclasses have their own), a function that takes a layer and describes it.

    Returns:
        A copy whose layers of these classes are each inside an `AdaptedLayer`.

    Raises:
        UserError: The model has no such layer, or one with hooks, which no description can know.
    """
    found = []

    def make(name: str, module: nn.Module) -> nn.Module | None:
        describe = descriptions.get(type(module))
        if describe is None:
            return None
        where = f"layer {name}" if name else "the layer"
        if reason := code_around(module):
            raise UserError(f"cannot adapt {where}: {reason}; move that code into a module of its own")
        found.append(name)
        return AdaptedLayer(module, describe, where)

    result = replace_modules(copied(unwrapped(model)), make)
    if not found:
        names = ", ".join(kind.__name__ for kind in descriptions) or "no class"
        raise UserError(
            f"{type(model).__name__} has no layer of {names}; name the classes of its binary layers"
        )
    return result
