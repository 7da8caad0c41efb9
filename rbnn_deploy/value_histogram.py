"""How the elements of one value are spread over calibration samples."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS = 2048


@dataclass(frozen=True)
class ValueHistogram:
    """The elements of one value.

    Attributes:
        least: The smallest; NaN if one is NaN.
        most: The largest; likewise.
        counts: Elements in each of equal bins from the smallest to the largest, int64; empty if nobody
            counted them.
    """

    least: float
    most: float
    counts: npt.NDArray[np.int64]

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """The middle of each bin."""
        places = (np.arange(self.counts.size) + 0.5) / max(1, self.counts.size)
        return self.least + (self.most - self.least) * places
