"""Whether a difference of logits comes from bits on their threshold.

1. Take the first binary layer, in graph order, where two subjects' bits of a sample differ. Up to there both
   summed the same whole numbers, so their activations x and thresholds t differ by float rounding alone.
2. Rounding can flip a bit only where x is that near to t. So each flipped bit must have |x - t| <= margin, in
   both subjects; else something other than rounding is at work.
3. The margin is relative to the size of the layer's input: 1e-5 times the root mean square of the sample's
   activations there, because the rounding errors of sums and scales are relative to that. |t| itself is no
   measure: for `zero` it is 0, and a mean may be near 0 by cancellation. (Measured: a flip at t = -0.033 and
   |x - t| = 4.3e-7 is 1.3e-5 of |t|, but 5.4e-7 of the root mean square 0.80. On 1000 images through the
   reference checkpoint the largest were 1.6e-6 of |t| and 3.6e-7 of the root mean square.) The root mean
   square is never below the mean, so whatever is within 1e-5 of |t| is accepted too.
4. Of bits that a layer in front has packed no x is known (`Binarised.signs_only`). There the other subject's
   x is looked at; and two subjects with bits alone must have the same, because whole numbers made them.
5. Behind that layer the two compute from different bits, so one repeats the other's run with its bits and
   must come to the same values (`replaying`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rbnn_deploy.comparing.traces import Binarised, Trace

RELATIVE_MARGIN = 1e-5


@dataclass(frozen=True)
class Explanation:
    """Where two subjects part on one sample.

    Attributes:
        layer: The first binary layer whose bits differ; None if no layer's do.
        flipped: How many of its bits.
        distance: Largest |x - t| of those, in either subject, relative to the root mean square;
            infinite where one is no number, or where neither is known.
        problem: Where a repetition with the same bits comes to other values; empty if it does not.
    """

    layer: str | None
    flipped: int = 0
    distance: float = 0.0
    problem: str = ""

    @property
    def explains(self) -> bool:
        """Whether rounding alone can be the cause."""
        return self.layer is not None and self.distance <= RELATIVE_MARGIN and not self.problem

    def __str__(self) -> str:
        if self.layer is None:
            return "no binary layer's bits differ, so a float layer behind them computes something else"
        bits = "1 bit" if self.flipped == 1 else f"{self.flipped} bits"
        text = f"{bits} of layer {self.layer} differ, as far as {self.distance:.1e} from the threshold"
        return f"{text}; and {self.problem}" if self.problem else text


def explain(left: Trace, right: Trace, layers: Sequence[str], sample: int) -> Explanation:
    """Looks for the cause of a difference.

    Args:
        left: The results of one subject.
        right: The results of the other for the same images.
        layers: Names of the binary layers in graph order, present in both.
        sample: Index in the traces.
    """
    for name in layers:
        sides = [side.of_sample(name, sample) for side in (left, right)]
        flipped = sides[0].bits != sides[1].bits
        if flipped.any():
            known = [_distance(side, flipped) for side in sides if not side.signs_only]
            distance = max(known, default=math.inf)
            return Explanation(name, int(flipped.sum()), distance)
    return Explanation(None)


def _distance(side: Binarised, flipped: np.ndarray) -> float:
    """Returns the largest |x - t| of the flipped bits over the root mean square; infinite for a NaN."""
    x, t = side.x.astype(np.float64), side.t.astype(np.float64).reshape(-1, 1, 1, 1)
    with np.errstate(invalid="ignore"):
        far = np.abs(x - t)[flipped].max()
        size = np.sqrt(np.mean(np.square(x)))
    if far == 0:
        return 0.0
    return float(far / size) if np.isfinite(far) and np.isfinite(size) else float("inf")
