"""What a binary layer adds beside its scaled sums and its bias: GeneralBinaryConv2d's window_sum and border.

Layers whose activations or weights have two levels that do not lie around 0 have such terms
(docs/ops/GeneralBinaryConv2d.md, "What it stands for").
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

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
