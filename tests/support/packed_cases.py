"""Cases of PackedBinaryConv2d: the geometries of BinaryConv2d with what this operator adds, at random."""

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from support.operator_cases import FACTORS as BASE
from support.operator_cases import Case, make_case
from support.oracle import accumulate

from rbnn_deploy.operators import PackedBinaryConv2dAttributes

THRESHOLDS = ("around the sums", "all pass", "none passes", "beyond all sums")
POOLS = ((1, 1), (2, 2), (1, 2), (3, 2), (2, 1))


@dataclass(frozen=True)
class PackedCase:
    """One call of the operator.

    Attributes:
        base: Its geometry and weights.
        pad_value: What a padded tap counts.
        pool: The pool's windows, cut down where the map is smaller.
        thresholds: One of `THRESHOLDS`.
    """

    base: Case
    pad_value: int
    pool: tuple[int, int]
    thresholds: str

    def __str__(self) -> str:
        down, across = self.pool
        return f"{self.base}_{self.pad_value}_pool-{down}x{across}_{self.thresholds.replace(' ', '-')}"

    @property
    def attributes(self) -> PackedBinaryConv2dAttributes:
        """The node's attributes."""
        values = self.base.attributes.to_dict()
        own = {"pad_value": self.pad_value, "pool": list(self.pool)}
        whole = PackedBinaryConv2dAttributes.from_mapping(values | own | {"pool": [1, 1]})
        arrays = self.base.arrays()
        size = whole.conv_size(arrays["X"].shape[1:3], arrays["W"].shape[1:3])
        own["pool"] = [min(pair) for pair in zip(self.pool, size, strict=True)]
        return PackedBinaryConv2dAttributes.from_mapping(values | own)

    def arrays(self) -> dict[str, np.ndarray]:
        """Draws all inputs."""
        rng = np.random.default_rng(self.base.seed + 2)
        base, attributes = self.base.arrays(), self.attributes
        W, outputs = base["W"], len(base["W"])
        X = np.packbits(rng.random(base["X"].shape) < 0.5, axis=-1, bitorder="little")
        X = with_any_tail(rng, X, attributes.channels)
        sums = attributes.group_channels * W.shape[1] * W.shape[2]
        T = rng.integers(-3, 4, outputs) * max(1, round(sums**0.5 / 2)) + rng.integers(-1, 2, outputs)
        if self.thresholds == "all pass":
            T[:] = -sums
        elif self.thresholds == "none passes":
            T[:] = sums + 1
        elif self.thresholds == "beyond all sums":
            T = rng.choice([-(2**31), 2**31 - 1, -(2**24) - 1, 2**24 + 1], outputs)
        return {"X": X, "W": W, "T": T.astype(np.int32)}


def with_any_tail(rng: np.random.Generator, packed: np.ndarray, count: int) -> np.ndarray:
    """Sets the bits behind the last channel at random: nobody reads them."""
    if count % 8:
        mask = np.uint8(256 - (1 << count % 8))
        packed[..., -1] |= rng.integers(0, 256, packed.shape[:-1], dtype=np.uint8) & mask
    return packed


def packed_oracle(arrays: dict[str, np.ndarray], attributes: PackedBinaryConv2dAttributes) -> np.ndarray:
    """Computes Y as the operator's page says, pixel by pixel and without packed bits in between."""
    values = attributes.to_dict()
    down, across = values.pop("pool")
    bits = np.unpackbits(arrays["X"], axis=-1, count=attributes.channels, bitorder="little")
    numbers = np.where(bits, np.float32(1), np.float32(-1))
    acc = accumulate(numbers, arrays["W"], **values, threshold="zero")
    outputs = len(arrays["W"])
    size = (acc.shape[1] // down, acc.shape[2] // across)
    Y = np.zeros((len(acc), *size, -(-outputs // 8)), np.uint8)
    for n, p, q in np.ndindex(len(acc), *size):
        window = acc[n, p * down : (p + 1) * down, q * across : (q + 1) * across]
        for o in np.flatnonzero((window >= arrays["T"]).any(axis=(0, 1))):
            Y[n, p, q, o // 8] |= 1 << (o % 8)
    return Y


@cache
def packed_cases(count: int, seed: int = 9) -> tuple[PackedCase, ...]:
    """Draws cases at random."""
    rng = random.Random(seed)

    def one() -> PackedCase:
        row: dict[str, Any] = {name: rng.choice(values) for name, values in BASE.items()}
        row |= {"threshold": "zero", "activation": "none"}
        # Every other case has thresholds among its sums, where each bit counts.
        rule = rng.choice(THRESHOLDS) if rng.random() < 0.5 else THRESHOLDS[0]
        return PackedCase(make_case(row), rng.choice((-1, 0, 1)), rng.choice(POOLS), rule)

    return tuple(one() for _ in range(count))
