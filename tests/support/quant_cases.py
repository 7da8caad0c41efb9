"""Cases of `ai.rbnn::QuantConv2d`: every value of every attribute, at random, and their arrays."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
from hypothesis import strategies as st
from support.operator_cases import draw, draw_affine

from rbnn_deploy.operators import QuantConv2dAttributes

ONE = (1, 1)
FACTORS: dict[str, tuple[Any, ...]] = {
    "channels": (1, 3, 4, 8, 17, 64, 65),  # of one group
    "outputs": (1, 7, 16, 33),  # of one group
    "groups": (1, 2, 3),
    "kernel": (ONE, (3, 3), (2, 3), (7, 7)),
    "dilations": (ONE, (2, 1), (2, 2)),
    "strides": (ONE, (2, 2), (1, 3)),
    "pads": ((0, 0, 0, 0), (1, 1, 1, 1), (3, 0, 1, 2), (0, 5, 0, 4)),
    "map": (ONE, (2, 2), (5, 7), (12, 9)),
    "batch": (0, 1, 3),
    "layout": ("channels_first", "channels_last"),
    "mean": ((ONE, ONE), ((0, 0), ONE), ((2, 2), (2, 2)), ((3, 2), (1, 2)), ((0, 2), ONE), (ONE, (2, 3))),
    "range": ((-128, 127), (0, 255), (-255, 0), (-127, 127), (-3, 7), (0, 0)),
    "activation": ("none", "hardtanh", "relu"),
    "pool": (
        (ONE, ONE, (0, 0, 0, 0)),
        ((3, 3), (2, 2), (1, 1, 1, 1)),
        ((2, 3), (1, 2), (0, 2, 1, 0)),
        (ONE, (2, 1), (0, 0, 0, 0)),
    ),
    "residual": ("none", "full", "one element"),
    "values": ("normal", "ties", "infinities", "nan", "subnormal", "huge", "cancelling"),
    "affine": ("normal", "zero", "infinite", "subnormal"),
    "factor": (4.0, 33.3, -20.0, 0.5, 1e38),
}


@dataclass(frozen=True)
class QuantCase:
    """One call of the operator.

    Attributes:
        row: A value for each of `FACTORS`.
        attributes: The node's attributes, whose pads let every kernel and window fit.
    """

    row: tuple[tuple[str, Any], ...]
    attributes: QuantConv2dAttributes

    def __str__(self) -> str:
        return "_".join(str(value).replace(" ", "") for _, value in self.row)

    @property
    def outputs(self) -> int:
        """O."""
        return int(dict(self.row)["outputs"]) * self.attributes.groups

    def arrays(self) -> dict[str, np.ndarray | None]:
        """Draws all inputs; an absent R is None. Equal rows have equal arrays in every process."""
        row, a = dict(self.row), self.attributes
        rng = np.random.default_rng(crc32(repr(self.row).encode()))
        last = (row["batch"], *row["map"], a.channels)
        # By channel, so that values of one mean cancel each other.
        planes = draw(rng, row["values"], (row["batch"] * a.channels, row["map"][0] * row["map"][1]))
        x = np.moveaxis(planes.reshape(row["batch"], a.channels, *row["map"]), 1, 3)
        if row["values"] == "normal":  # halves of a step, which round to even
            x = np.where(rng.random(last) < 0.3, np.round(8 * x) / np.float32(8), x).astype(np.float32)
        conv = a.output_size(a.mean_size(row["map"]), row["kernel"])
        residual = {
            "none": lambda: None,
            "one element": lambda: draw(rng, row["values"], (1,) * int(rng.integers(0, 5))),
            "full": lambda: draw(rng, row["values"], (row["batch"], *conv, self.outputs)),
        }[row["residual"]]()
        return {
            "X": np.ascontiguousarray(np.moveaxis(x, 3, 1) if a.layout == "channels_first" else x),
            "W": rng.integers(-128, 128, (self.outputs, *row["kernel"], a.group_channels), np.int8),
            "scale": draw_affine(rng, row["affine"], self.outputs) / np.float32(1024),
            "bias": draw_affine(rng, row["affine"], self.outputs),
            "factor": np.full((1,) * int(rng.integers(0, 3)), row["factor"], np.float32),
            "R": residual,
        }


def make_quant_case(row: dict[str, Any]) -> QuantCase:
    """Makes the case of a row, with wider means, pads and pools only as far as they fit."""
    (mean_kernel, mean_strides), (pool_kernel, pool_strides, pool_pads) = row["mean"], row["pool"]
    mean_kernel = tuple(min(taps, extent) for taps, extent in zip(mean_kernel, row["map"], strict=True))
    low, high = row["range"]
    given: dict[str, Any] = {
        "channels": row["channels"] * row["groups"],
        "strides": row["strides"],
        "dilations": row["dilations"],
        "groups": row["groups"],
        "layout": row["layout"],
        "mean_kernel": mean_kernel,
        "mean_strides": mean_strides,
        "low": low,
        "high": high,
        "activation": row["activation"],
    }
    mean = QuantConv2dAttributes(**given).mean_size(row["map"])
    top, left, bottom, right = row["pads"]
    spans = [d * (k - 1) + 1 for d, k in zip(row["dilations"], row["kernel"], strict=True)]
    bottom += max(0, spans[0] - (mean[0] + top + bottom))
    right += max(0, spans[1] - (mean[1] + left + right))
    given["pads"] = (top, left, bottom, right)
    conv = QuantConv2dAttributes(**given).output_size(mean, row["kernel"])
    fits = all(conv[d] + pool_pads[d] + pool_pads[2 + d] >= pool_kernel[d] for d in (0, 1))
    pool = {"pool_kernel": pool_kernel, "pool_strides": pool_strides, "pool_pads": pool_pads} if fits else {}
    return QuantCase(tuple(row.items()), QuantConv2dAttributes(**given | pool))


def random_quant_rows(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yields rows without end."""
    while True:
        yield {name: rng.choice(values) for name, values in FACTORS.items()}


@cache
def quant_cases(count: int, seed: int = 11) -> tuple[QuantCase, ...]:
    """Draws cases at random."""
    return tuple(map(make_quant_case, itertools.islice(random_quant_rows(random.Random(seed)), count)))


@st.composite
def quant_rows(draw: st.DrawFn) -> dict[str, Any]:
    """Draws rows of any shapes, not only those of `FACTORS`."""
    row = {name: draw(st.sampled_from(values)) for name, values in FACTORS.items()}
    small, pair = st.integers(1, 4), st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel = draw(pair)
    pool_pads = tuple(draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4))
    low = draw(st.integers(-255, 0))
    return row | {
        "channels": draw(st.integers(1, 40)),
        "outputs": draw(st.integers(1, 9)),
        "groups": draw(small),
        "kernel": draw(pair),
        "dilations": draw(pair),
        "strides": draw(pair),
        "pads": draw(st.tuples(*[st.integers(0, 4)] * 4)),
        "map": draw(st.tuples(st.integers(1, 9), st.integers(1, 9))),
        "mean": (draw(st.tuples(st.integers(0, 4), st.integers(0, 4))), draw(pair)),
        "range": (low, draw(st.integers(0, 255 + low))),
        "pool": (kernel, draw(pair), pool_pads),
    }
