"""Which range of activations becomes integers, by what calibration saw.

A wide range cuts no activation off and has large steps; a narrow one has small steps. Three rules choose:

1. minmax: all that was seen.
2. percentile: all but the outermost 0.005 % at either end. Elements next to 0 do not count: behind a ReLU
   they can be nearly all.
3. mse: the range, between 30 % and all of what was seen, with the least mean squared error.
"""

from collections.abc import Callable, Mapping

import numpy as np

from rbnn_deploy.exporters.onnx.quantisation import Range, quantisation_of
from rbnn_deploy.value_histogram import ValueHistogram

OUTERMOST = 5e-5
SHARES = np.linspace(0.3, 1.0, 71)


def _minmax(seen: ValueHistogram) -> Range:
    return seen.least, seen.most


def _percentile(seen: ValueHistogram) -> Range:
    counts, width = seen.counts.copy(), (seen.most - seen.least) / seen.counts.size
    if seen.least <= 0 <= seen.most:
        counts[min(int(-seen.least / width), counts.size - 1)] = 0
    if not counts.any():
        return _minmax(seen)
    up_to = np.cumsum(counts) / counts.sum()
    kept = np.flatnonzero((up_to > OUTERMOST) & (up_to - counts / counts.sum() < 1 - OUTERMOST))
    return seen.least + kept[0] * width, seen.least + (kept[-1] + 1) * width


def _mse(seen: ValueHistogram) -> Range:
    """Searches; both ends shrink alike."""
    values = seen.centres

    def error(share: float) -> float:
        how = quantisation_of((share * seen.least, share * seen.most))
        integers = np.clip(np.rint(values * how.factor), how.low, how.high)
        return float(seen.counts @ (integers / how.factor - values) ** 2)

    share = min(SHARES[::-1], key=error)
    return float(share * seen.least), float(share * seen.most)


RULES: Mapping[str, Callable[[ValueHistogram], Range]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "mse": _mse,
}


def choose_range(seen: ValueHistogram, rule: str) -> Range:
    """Chooses the range of one value.

    Args:
        seen: With counts, unless the rule is minmax.
        rule: A key of `RULES`.

    Returns:
        The smallest and the largest activation; what was seen if that is not finite, or one number.
    """
    if not np.isfinite((seen.least, seen.most)).all() or seen.least == seen.most:
        return seen.least, seen.most
    return RULES[rule](seen)
