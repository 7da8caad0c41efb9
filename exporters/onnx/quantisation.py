"""Floats -> integers, for layers of int8 weights.

Activations are quantised affinely over a range, widened to hold 0:

    step = (high - low) / 255,  zero = round(-low / step),  integers from -zero to 255 - zero.

Weights are quantised per output channel, symmetrically: step = max |w| / 127. Both follow ONNX Runtime's
static quantiser.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rbnn_deploy.exporters.onnx.graph import TO_CHANNELS_LAST
from rbnn_deploy.operators.limits import ACTIVATION_RANGE

Range = tuple[float, float]
LARGEST = 127  # of a weight's integer: symmetric, so that -w and w have the same step


@dataclass(frozen=True)
class Quantisation:
    """How activations become integers.

    Attributes:
        factor: Integers per unit, a float32.
        low: The smallest integer.
        high: The largest.
    """

    factor: float
    low: int
    high: int


def quantisation_of(measured: Range) -> Quantisation:
    """Returns the affine quantisation of a range.

    Args:
        measured: The smallest and the largest activation.
    """
    least, most = min(measured[0], 0.0), max(measured[1], 0.0)
    step = (most - least) / ACTIVATION_RANGE
    with np.errstate(over="ignore", divide="ignore"):
        factor = np.float32(1.0) / np.float32(step) if step else np.float32(1.0)
    if not np.isfinite(factor):  # a range of subnormal numbers
        factor = np.float32(1.0)
    zero = round(-least * float(factor))
    return Quantisation(float(factor), -zero, ACTIVATION_RANGE - zero)


def quantise_weights(
    weights: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
    """Quantises weights per output channel.

    Args:
        weights: float64 [O, C / groups, KH, KW].

    Returns:
        int8 [O, KH, KW, C / groups], and each channel's step, float64 [O].
    """
    steps = np.abs(weights).max(axis=(1, 2, 3)) / LARGEST
    steps[steps == 0] = 1.0
    with np.errstate(invalid="ignore"):  # weights that are not finite are refused by their steps
        integers = np.rint(weights / steps[:, None, None, None]).astype(np.int8)
    return np.ascontiguousarray(integers.transpose(TO_CHANNELS_LAST)), steps
