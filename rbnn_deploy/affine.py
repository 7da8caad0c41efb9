"""Per-channel affine maps y = multiplier * x + offset, composed in float64 and rounded once.

With a scale alpha and a following BatchNorm (gamma, beta, mean, var, eps):

1. BatchNorm is x -> m x + (beta - m mean), with m = gamma / sqrt(var + eps).
2. After z = s acc + b it gives m z + a = (m s) acc + (m b + a).

gamma, alpha and hence the multipliers may be negative or zero.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ChannelAffine:
    """One multiplier and one offset per channel.

    Attributes:
        multiplier: float64 [O].
        offset: float64 [O].
    """

    multiplier: Float64Array
    offset: Float64Array

    @classmethod
    def from_batch_norm(
        cls,
        gamma: npt.ArrayLike | None,
        beta: npt.ArrayLike | None,
        mean: npt.ArrayLike,
        var: npt.ArrayLike,
        eps: float,
    ) -> Self:
        """Builds rule 1's map; gamma None is 1, beta None is 0."""
        mean64 = np.asarray(mean, np.float64)
        multiplier = 1.0 / np.sqrt(np.asarray(var, np.float64) + eps)
        if gamma is not None:
            multiplier = multiplier * np.asarray(gamma, np.float64)
        offset = -multiplier * mean64
        if beta is not None:
            offset = offset + np.asarray(beta, np.float64)
        return cls(multiplier, offset)

    def after(self, inner: Self) -> Self:
        """Composes: the result applies `inner` first, then this map (rule 2)."""
        return type(self)(self.multiplier * inner.multiplier, self.multiplier * inner.offset + self.offset)

    def rounded(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Returns (multiplier, offset) as float32 [O]."""
        return self.multiplier.astype(np.float32), self.offset.astype(np.float32)
