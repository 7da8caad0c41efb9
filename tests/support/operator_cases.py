"""Cases of `ai.rbnn::BinaryConv2d`: every pair of parameter values at least once, and their arrays.

The full product of the values below has some 10^9 members. Faults of kernels come from one value or from two
that meet (a tail of channels and a group, a stride and a padding), so the design covers all pairs.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np

from rbnn_deploy.operators import BinaryConv2dAttributes

# Edge sizes lie around the widths of words and registers.
FACTORS: dict[str, tuple[Any, ...]] = {
    "channels": (
        1,
        3,
        8,
        31,
        32,
        33,
        63,
        64,
        65,
        128,
        257,
    ),  # of one group; of all groups where groups is "C"
    "outputs": (1, 7, 16, 65),  # rounded up to a multiple of the groups
    "groups": (1, 2, "C"),
    "kernel": ((1, 1), (3, 3), (5, 5), (7, 7), (2, 3)),
    "dilations": ((1, 1), (2, 2), (1, 2)),
    "pads": ((0, 0, 0, 0), (1, 1, 1, 1), (3, 0, 1, 2), (0, 5, 0, 4)),
    "map": ((1, 1), (2, 2), (5, 7), (32, 32)),
    "strides": ((1, 1), (2, 2), (3, 3), (1, 3)),
    "batch": (0, 1, 3),
    "threshold": ("sample_mean", "zero"),
    "activation": ("none", "hardtanh", "relu"),
    "residual": ("none", "full", "one element"),
    "values": ("normal", "ties", "constant", "infinities", "nan", "subnormal", "huge", "cancelling"),
    "affine": ("normal", "zero", "infinite", "subnormal"),
}
# Adjustments depend on the factors of one of these sets alone, so values of different sets meet freely.
COUPLED = (("channels", "outputs", "groups"), ("kernel", "dilations", "pads", "map"))
ADJUSTED = "adjusted"

Row = dict[str, Any]
Pair = tuple[tuple[str, Any], tuple[str, Any]]


@dataclass(frozen=True)
class Case:
    """One call of the operator.

    Attributes:
        row: A value for each factor, after adjustment; an adjusted value reads "adjusted".
        attributes: The node's attributes.
        outputs: O.
        kernel: (KH, KW).
        seed: Of the random arrays.
    """

    row: Row = field(hash=False)
    attributes: BinaryConv2dAttributes
    outputs: int
    kernel: tuple[int, int]
    seed: int

    def __str__(self) -> str:
        a, (h, w), (kh, kw) = self.attributes, self.row["map"], self.kernel
        parts = (
            f"{self.row['batch']}x{h}x{w}x{a.channels} {kh}x{kw} to {self.outputs} groups {a.groups} "
            f"stride {a.strides} dilation {a.dilations} pads {a.pads} {a.threshold} {a.activation} "
            f"residual {self.row['residual']} {self.row['values']} affine {self.row['affine']}"
        )
        return parts.replace(" ", "_").replace(",_", ",")

    def arrays(self) -> dict[str, np.ndarray | None]:
        """Draws X, W, scale, bias and R."""
        rng = np.random.default_rng(self.seed)
        batch, (h, w), a = self.row["batch"], self.row["map"], self.attributes
        bits = rng.random((self.outputs, *self.kernel, a.channels // a.groups)) < 0.5
        size = a.output_size((h, w), self.kernel)
        residual = {
            "none": lambda: None,
            "one element": lambda: draw(rng, self.row["values"], (1,) * int(rng.integers(0, 5))),
            "full": lambda: draw(rng, self.row["values"], (batch, *size, self.outputs)),
        }[self.row["residual"]]()
        return {
            "X": draw(rng, self.row["values"], (batch, h, w, a.channels)),
            "W": np.packbits(bits, axis=-1, bitorder="little"),
            "scale": draw_affine(rng, self.row["affine"], self.outputs),
            "bias": draw_affine(rng, self.row["affine"], self.outputs),
            "R": residual,
        }


def draw(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Draws float32 values of a kind; where a kind needs several values of a sample, the shape has them."""
    x = np.asarray(rng.standard_normal(shape, dtype=np.float32))
    size = max(1, int(np.prod(shape[1:])))
    x = x.reshape(-1, size) if x.size else x.reshape(0, size)
    if kind == "ties":
        # Of each value its negative too, zeros of both signs between them, and all moved by a small power of
        # two in every other sample: the mean is exactly 0 or that power, and values lie exactly on it.
        x = rng.choice(np.float32([0, -0.0, 1, 0.5, 2]), x.shape)
        x[:, size // 2 * 2 :] = 0
        x[:, 1 : size // 2 * 2 : 2] = -x[:, 0 : size // 2 * 2 : 2]
        rng.permuted(x, axis=1, out=x)
        x[1::2] += np.float32(0.25)
    elif kind == "constant":
        x[:] = x[:, :1]
    elif kind in ("infinities", "nan"):
        plus, minus = {"infinities": (np.inf, -np.inf), "nan": (np.nan, -np.nan)}[kind]
        for sample in x:  # of either sign, of both, or none at all
            specials = ((plus, plus), (minus, minus), (plus, minus), (0, 0))[rng.integers(0, 4)]
            sample[rng.integers(0, size, 2)] = specials
    elif kind == "subnormal":
        x *= np.float32(1e-40)
    elif kind == "cancelling":
        # Pairs of 2^70 and -2^70, between which all that a float64 sum has gathered is lost: the mean depends
        # on the order of the sum, which with other values shows in a last bit and so is seldom seen.
        for sample in x:
            chosen = rng.permutation(size)[: min(size, 12) // 2 * 2]
            sample[chosen] = np.float32(2.0**70) * (1 - 2 * (np.arange(len(chosen)) % 2))
    elif kind == "huge":
        x = np.copysign(np.float32(3e38), x) * (1 - np.abs(x) % np.float32(0.5))
    return np.ascontiguousarray(x.reshape(shape), dtype=np.float32)


def draw_affine(rng: np.random.Generator, kind: str, size: int) -> np.ndarray:
    """Draws a scale or a bias of both signs, with special values for every third channel."""
    values = np.asarray(rng.standard_normal(size, dtype=np.float32))
    special = {
        "normal": (),
        "zero": (0.0, -0.0),
        "infinite": (np.inf, -np.inf),
        "subnormal": (1e-40, -3e-42),
    }[kind]
    if special:
        chosen = rng.random(size) < 1 / 3
        chosen[0] = True
        values[chosen] = rng.choice(np.float32(special), int(chosen.sum()))
    return values


def adjust(wanted: Row) -> tuple[Row, BinaryConv2dAttributes, int]:
    """Makes wanted values fit each other.

    Returns:
        The row after adjustment, the attributes, and O.
    """
    row = dict(wanted)
    groups = wanted["channels"] if wanted["groups"] == "C" else wanted["groups"]
    channels = wanted["channels"] if wanted["groups"] == "C" else wanted["channels"] * groups
    outputs = -(-wanted["outputs"] // groups) * groups
    if outputs != wanted["outputs"]:
        row["outputs"] = ADJUSTED
    top, left, bottom, right = wanted["pads"]
    spans = [d * (k - 1) + 1 for d, k in zip(wanted["dilations"], wanted["kernel"], strict=True)]
    lacking = (
        max(0, spans[0] - (wanted["map"][0] + top + bottom)),
        max(0, spans[1] - (wanted["map"][1] + left + right)),
    )
    if any(lacking):
        row["pads"] = ADJUSTED
    attributes = BinaryConv2dAttributes(
        channels=channels,
        strides=wanted["strides"],
        pads=(top, left, bottom + lacking[0], right + lacking[1]),
        dilations=wanted["dilations"],
        groups=groups,
        threshold=wanted["threshold"],
        activation=wanted["activation"],
    )
    return row, attributes, outputs


def make_case(wanted: Row) -> Case:
    """Makes the case of wanted values; equal values make the same arrays in every process."""
    row, attributes, outputs = adjust(wanted)
    return Case(row, attributes, outputs, wanted["kernel"], crc32(repr(sorted(wanted.items())).encode()))


def pairs_of(row: Row) -> set[Pair]:
    """Returns every two values of a row, with their factors' names."""
    return set(itertools.combinations(sorted(row.items()), 2))


def possible_pairs() -> set[Pair]:
    """Returns every pair of values that some case has after adjustment, found by trying."""
    base = {name: values[0] for name, values in FACTORS.items()}
    sets = [*COUPLED, *((name,) for name in FACTORS if not any(name in names for names in COUPLED))]
    inside: set[Pair] = set()
    singles: list[set[tuple[str, Any]]] = []
    for names in sets:
        rows = []
        for values in itertools.product(*(FACTORS[name] for name in names)):
            row, _, _ = adjust(base | dict(zip(names, values, strict=True)))
            rows.append({name: row[name] for name in names})
        inside |= set().union(*map(pairs_of, rows))
        singles.append({item for row in rows for item in row.items()})
    across = {
        tuple(sorted((one, two)))
        for left, right in itertools.combinations(singles, 2)
        for one in left
        for two in right
    }
    return inside | across


def random_rows(rng: random.Random) -> Iterator[Row]:
    """Yields rows without end."""
    while True:
        yield {name: rng.choice(values) for name, values in FACTORS.items()}


@cache
def covering_cases(seed: int = 0, candidates: int = 40) -> tuple[Case, ...]:
    """Builds cases greedily until every possible pair occurs.

    Each step takes a pair that is still missing, draws candidates that have it, and keeps the one with the
    most missing pairs.
    """
    rng = random.Random(seed)
    rows = random_rows(rng)
    missing = sorted(possible_pairs(), key=repr)
    cases = []
    while missing:
        # An adjusted value cannot be asked for, only met.
        asked = {name: value for name, value in rng.choice(missing) if value != ADJUSTED}
        drawn = [next(rows) | asked for _ in range(candidates)]
        best = max(drawn, key=lambda row: len(pairs_of(adjust(row)[0]).intersection(missing)))
        covered = pairs_of(adjust(best)[0])
        if covered.isdisjoint(missing):
            continue
        missing = [pair for pair in missing if pair not in covered]
        cases.append(make_case(best))
    return tuple(cases)


@cache
def banded_cases() -> tuple[Case, ...]:
    """Makes cases of small inputs whose windows the library gathers in several bands, for their wide kernels.

    In order: bands of rows that share what two of them need, the same for groups, and parts of one row.
    """
    base = {name: values[0] for name, values in FACTORS.items()} | {
        "kernel": (2, 256),
        "dilations": (2, 1),
        "map": (24, 24),
        "pads": (1, 255, 1, 255),
        "values": "ties",
        "activation": "hardtanh",
        "residual": "full",
        "batch": 1,
    }
    rows = (
        base | {"channels": 80, "outputs": 3},
        base | {"channels": 80, "outputs": 4, "groups": 2, "kernel": (1, 256), "strides": (2, 1)},
        base
        | {"channels": 128, "outputs": 1, "kernel": (16, 256), "dilations": (1, 1), "map": (16, 24)}
        | {"pads": (0, 255, 0, 255), "threshold": "zero", "batch": 2},
    )
    return tuple(make_case(row) for row in rows)


@cache
def random_cases(count: int, seed: int = 1) -> tuple[Case, ...]:
    """Draws cases at random."""
    return tuple(make_case(row) for row in itertools.islice(random_rows(random.Random(seed)), count))
