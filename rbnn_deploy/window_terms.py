"""What a binary layer adds beside its scaled sums and its bias: GeneralBinaryConv2d's window_sum and border.

Layers whose activations or weights have two levels that do not lie around 0 have such terms
(docs/ops/GeneralBinaryConv2d.md, "What it stands for").
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from rbnn_deploy.affine import ChannelAffine

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WindowTerms:
    """The terms, before they are rounded.

    Attributes:
        window_sum: float64 [O], the factor of the sum of the signs inside a window.
        border: float64 [KH, KW, O], added for each tap that is padded.
    """

    window_sum: Float64Array
    border: Float64Array

    def scaled(self, multiplier: Float64Array) -> Self:
        """Returns the terms behind a multiplication.

        Args:
            multiplier: float64 [O].
        """
        return type(self)(multiplier * self.window_sum, multiplier * self.border)

    def rounded(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Returns (window_sum, border) as float32."""
        return self.window_sum.astype(np.float32), self.border.astype(np.float32)


def two_levels(
    signs: Float64Array, scale: Float64Array, offset: Float64Array, *, centre: float, half: float
) -> tuple[ChannelAffine, WindowTerms]:
    """Writes a convolution of activations of two levels with weights of two levels as a layer of signs.

        y = conv(centre + half s, scale w + offset),    s and w being signs, with zeros as padding

    With W = scale w + offset, and sums over the taps inside the image, that is

        y = half scale (sum of s w) + half offset (sum of s) + centre (sum of W).

    The bias is the last term of a window that is inside as a whole; `border` takes off what padded taps have.

    Args:
        signs: The weights' w, float64 [O, C / groups, KH, KW].
        scale: float64 [O].
        offset: float64 [O].
        centre: The mean of the two levels of the activations.
        half: Half their distance.

    Returns:
        Scale and bias, and the other terms.
    """
    weight = scale[:, None, None, None] * signs + offset[:, None, None, None]
    taps = centre * weight.sum(1)
    return ChannelAffine(half * scale, taps.sum((1, 2))), WindowTerms(half * offset, -taps.transpose(1, 2, 0))
