"""Cases of `ai.rbnn::GeneralBinaryConv2d`: those of BinaryConv2d with what this operator adds, at random."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from support.operator_cases import FACTORS as BASE
from support.operator_cases import Case, draw, draw_affine, make_case

from rbnn_deploy.operators import GeneralBinaryConv2dAttributes

SHAPES = ("full", "one element")
# What BinaryConv2d does not have; a threshold and an activation of this operator replace those of the base.
FACTORS: dict[str, tuple[Any, ...]] = {
    "threshold": ("sample_mean", "zero", "per_channel"),
    "activation": ("none", "hardtanh", "relu", "prelu"),
    "place": ("before_activation", "after_activation"),
    "pad_value": (-1, 0, 1),
    "T": SHAPES,
    "window_sum": ("absent", "a zero", *SHAPES),
    "neg": SHAPES,
    "pos": ("absent", *SHAPES),
    "post": ("absent", *SHAPES),
    "border": ("absent", "a zero", *SHAPES),
    "slopes": ("normal", "zero", "infinite", "subnormal"),
}


@dataclass(frozen=True)
class GeneralCase:
    """One call of the operator.

    Attributes:
        base: Geometry and the arrays that both operators have.
        extra: A value for each of `FACTORS`.
    """

    base: Case
    extra: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return f"{self.base}_{'_'.join(str(value).replace(' ', '-') for _, value in self.extra)}"

    @property
    def attributes(self) -> GeneralBinaryConv2dAttributes:
        """The node's attributes."""
        extra = dict(self.extra)
        own = {name: extra[name] for name in ("threshold", "activation", "pad_value")}
        own["residual"] = extra["place"]
        return GeneralBinaryConv2dAttributes.from_mapping(self.base.attributes.to_dict() | own)

    def arrays(self) -> dict[str, np.ndarray | None]:
        """Draws all inputs; an absent one is None."""
        extra, rng = dict(self.extra), np.random.default_rng(self.base.seed + 1)
        values = self.base.row["values"]
        outputs, channels = self.base.outputs, self.base.attributes.channels

        def array(name: str, full: tuple[int, ...], used: bool) -> np.ndarray | None:
            kind = extra[name]
            if kind == "absent" or (not used and rng.random() < 0.5):
                return None
            if kind == "a zero":
                return np.float32([0.0 if rng.random() < 0.5 else -0.0])
            shape = full if kind == "full" and used else (1,) * int(rng.integers(0, 3))
            size = int(np.prod(shape))
            drawn = draw(rng, values, (size,)) if name == "T" else draw_affine(rng, extra["slopes"], size)
            return drawn.reshape(shape)

        slopes = extra["activation"] == "prelu"
        arrays = self.base.arrays()
        arrays["T"] = array("T", (channels,), extra["threshold"] == "per_channel")
        arrays["window_sum"] = array("window_sum", (outputs,), True)
        for name in ("neg", "pos", "post"):
            arrays[name] = array(name, (outputs,), slopes)
        arrays["border"] = array("border", (*arrays["W"].shape[1:3], outputs), True)
        if arrays["T"] is not None and self.base.row["values"] == "ties":
            # Values of X lie exactly on thresholds.
            arrays["T"] = rng.choice(np.float32([0, -0.0, 1, 0.5, -0.25]), arrays["T"].shape)
        return arrays


def random_general_rows(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yields rows without end."""
    while True:
        yield {name: rng.choice(values) for name, values in (BASE | FACTORS).items()}


def make_general_case(row: dict[str, Any]) -> GeneralCase:
    """Makes the case of a row."""
    base = {name: row[name] for name in BASE} | {"threshold": "zero", "activation": "none"}
    return GeneralCase(make_case(base), tuple((name, row[name]) for name in FACTORS))


@cache
def general_cases(count: int, seed: int = 5) -> tuple[GeneralCase, ...]:
    """Draws cases at random."""
    rows = random_general_rows(random.Random(seed))
    return tuple(make_general_case(next(rows)) for _ in range(count))
