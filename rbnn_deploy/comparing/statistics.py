"""How far outputs are apart: running figures for one pair of subjects, over batches."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rbnn_deploy.comparing.explaining import Explanation

Float32 = npt.NDArray[np.float32]


def differences(left: Float32, right: Float32) -> npt.NDArray[np.float64]:
    """Returns |left - right|; 0 where both are the same infinity or both NaN, infinite where only one is."""
    with np.errstate(invalid="ignore"):
        result = np.abs(left.astype(np.float64) - right.astype(np.float64))
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    return np.where(same, 0.0, np.where(np.isnan(result), np.inf, result))


def same_bits(left: Float32, right: Float32) -> bool:
    """Whether two float32 arrays hold the same bits; any NaN equals any other."""
    if left.shape != right.shape:
        return False
    equal = np.ascontiguousarray(left).view(np.uint32) == np.ascontiguousarray(right).view(np.uint32)
    return bool(np.all(equal | (np.isnan(left) & np.isnan(right))))


@dataclass
class OutputStatistics:
    """The results for one output so far.

    Attributes:
        samples: Samples seen.
        values: Values seen.
        largest: Largest difference of a value.
        total: Sum of differences.
        same_class: Samples whose largest value has the same place.
        bit_identical: Whether all values had the same bits.
    """

    samples: int = 0
    values: int = 0
    largest: float = 0.0
    total: float = 0.0
    same_class: int = 0
    bit_identical: bool = True

    def add(self, left: Float32, right: Float32) -> npt.NDArray[np.float64]:
        """Adds a batch.

        Args:
            left: float32 [N, ...].
            right: Likewise.

        Returns:
            float64 [N], the largest difference of each sample.
        """
        gaps = differences(left, right).reshape(len(left), -1)
        self.samples += len(left)
        self.values += gaps.size
        self.largest = max(self.largest, float(gaps.max(initial=0.0)))
        self.total += float(gaps.sum())
        self.same_class += int(np.sum(top1(left) == top1(right)))
        self.bit_identical &= same_bits(left, right)
        return np.asarray(gaps.max(axis=1, initial=0.0))


@dataclass
class PairStatistics:
    """The results for one pair so far.

    Attributes:
        outputs: By the output's name.
        same_class: Samples for which the largest value of every output has the same place.
        explanations: Sample number and explanation of each difference that needed one.
    """

    outputs: dict[str, OutputStatistics] = field(default_factory=lambda: defaultdict(OutputStatistics))
    same_class: int = 0
    explanations: list[tuple[int, Explanation]] = field(default_factory=list)

    def add(
        self, left: Mapping[str, Float32], right: Mapping[str, Float32]
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Adds a batch; see `OutputStatistics.add`.

        Args:
            left: float32 [N, ...] by name.
            right: Likewise.

        Returns:
            float64 [N] by name, the largest difference of each sample.
        """
        gaps = {name: self.outputs[name].add(left[name], right[name]) for name in left}
        same = [top1(left[name]) == top1(right[name]) for name in left]
        self.same_class += int(np.sum(np.all(same, axis=0)))
        return gaps


def top1(logits: Float32) -> npt.NDArray[np.intp]:
    """Returns the class of each sample, the first of the largest logits."""
    return np.asarray(np.argmax(logits.reshape(len(logits), -1), axis=1))
