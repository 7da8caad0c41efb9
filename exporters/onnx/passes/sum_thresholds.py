"""The whole numbers that sums of signs are compared with, in place of a layer's float steps and a sign.

Per channel, the steps between a sum and the sign that reads it are y = g(max f(sum)), with f in front of a
max pool, g behind it, and the sign y >= t. Each step is monotone, rounding included: a product with a
constant, a sum with one, slopes of one sign, a bound. So f and g are monotone too, and with
b(sum) = g(f(sum)) >= t

1. g rises:  g(max f) >= t is "any b" over the pool's window.
2. g falls:  it is "all b", the opposite of "any not b". Y then holds the opposite bit.
3. b, or not b, that falls with the sum rises with minus the sum: the weights are negated.

What is left rises with the sum, and passes from one whole number on, which a bisection finds that evaluates
the very steps, in float32. No algebra could be off by a rounding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Step:
    """One step per channel.

    Attributes:
        apply: float32 [O] -> float32 [O], as runtimes compute it.
        direction: int8 [O]: 1 where it does not fall, -1 where it does not rise.
    """

    apply: Callable[[Float32], Float32]
    direction: npt.NDArray[np.int8]


def product(factor: Float32) -> Step:
    """Makes the step y * factor, float32 [O]."""
    return Step(lambda y: y * factor, np.where(factor < 0, -1, 1).astype(np.int8))


def addition(summand: Float32) -> Step:
    """Makes the step y + summand, float32 [O]."""
    return Step(lambda y: y + summand, np.ones(summand.shape, np.int8))


def clamp(lower: float, upper: float, outputs: int) -> Step:
    """Makes the step that bounds y."""
    low, high = np.float32(lower), np.float32(upper)
    return Step(lambda y: np.minimum(np.maximum(y, low), high), np.ones(outputs, np.int8))


def slopes(negative: Float32, positive: Float32) -> Step | None:
    """Makes the step y * (y < 0 ? negative : positive); None where a channel rises and falls."""
    if (((negative < 0) & (positive > 0)) | ((negative > 0) & (positive < 0))).any():
        return None
    direction = np.where((negative < 0) | (positive < 0), -1, 1).astype(np.int8)
    return Step(lambda y: y * np.where(y < 0, negative, positive), direction)


@dataclass(frozen=True)
class SumThresholds:
    """What stands for the steps of a layer.

    Attributes:
        thresholds: int32 [O]: a bit is 1 from this sum on.
        negated: bool [O]: the channels whose weights are to be negated.
        opposite: bool [O]: the channels whose bits are then the opposite of the sign.
    """

    thresholds: npt.NDArray[np.int32]
    negated: npt.NDArray[np.bool_]
    opposite: npt.NDArray[np.bool_]


def find_thresholds(
    before: Sequence[Step], behind: Sequence[Step], limit: Float32, largest: int
) -> SumThresholds | None:
    """Finds the whole numbers.

    Args:
        before: The steps in front of the max pool, or all where there is none.
        behind: Those behind it.
        limit: What the sign compares with, float32 [O].
        largest: No sum is larger, and none smaller than minus it.

    Returns:
        None where a step's result is not finite, or a threshold is a NaN.
    """
    steps = (*before, *behind)

    def value(sums: npt.NDArray[np.int64]) -> Float32:
        y = sums.astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for step in steps:
                y = step.apply(y)
        return y

    most = np.full(limit.shape, largest, np.int64)
    finite = all(np.isfinite(array).all() for array in (*_path(steps, most), *_path(steps, -most)))
    if not finite or np.isnan(limit).any():
        return None
    opposite = _direction(behind, limit.shape) < 0
    direction = _direction(steps, limit.shape)
    direction = np.where(opposite, -direction, direction)
    # What is compared: b or its opposite, of the sum or of minus the sum. It rises.

    def passes(sums: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return (value(direction * sums) >= limit) != opposite  # type: ignore[no-any-return]

    low, high = -most, most + 1  # the number lies between them, both included
    while (low < high).any():
        middle = (low + high) // 2
        passed = passes(middle)
        low, high = np.where(passed, low, middle + 1), np.where(passed, middle, high)
        low = np.minimum(low, high)
    return SumThresholds(low.astype(np.int32), direction < 0, opposite)


def _direction(steps: Sequence[Step], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    result = np.ones(shape, np.int64)
    for step in steps:
        result = result * step.direction
    return result


def _path(steps: Sequence[Step], sums: npt.NDArray[np.int64]) -> list[Float32]:
    """Returns the result of every step."""
    results = [sums.astype(np.float32)]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for step in steps:
            results.append(step.apply(results[-1]))
    return results
