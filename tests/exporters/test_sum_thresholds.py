"""Thresholds of sums against the float steps that they stand for, at every sum that there is."""

import numpy as np
import pytest

from rbnn_deploy.exporters.onnx.passes.sum_thresholds import (
    Float32,
    Step,
    addition,
    clamp,
    find_thresholds,
    product,
    slopes,
)

LARGEST, CHANNELS = 27, 64
# Among them numbers whose products and sums are rounded, vanish, or are on a bound.
NUMBERS = np.float32(
    [-1, 1, 0, -0.0, 0.5, -0.5, 1 / 3, -1 / 3, 1e-30, -1e-30, 1e-45, 0.1, -0.1, 27, -27, 1e8]
)


def draw(rng: np.random.Generator) -> Float32:
    values = rng.choice(NUMBERS, CHANNELS)
    return np.where(rng.random(CHANNELS) < 0.5, values, rng.standard_normal(CHANNELS).astype(np.float32))


def draw_steps(rng: np.random.Generator, count: int) -> list[Step]:
    steps = []
    for kind in rng.integers(0, 4, count):
        if kind == 0:
            steps.append(product(draw(rng)))
        elif kind == 1:
            steps.append(addition(draw(rng)))
        elif kind == 2:
            steps.append(
                clamp(*rng.choice([(-1.0, 1.0), (0.0, np.inf), (-np.inf, np.inf), (0.0, 6.0)]), CHANNELS)
            )
        else:
            sign = rng.choice(np.float32([-1, 1]), CHANNELS)
            two = slopes(sign * abs(draw(rng)), sign * abs(draw(rng)))
            assert two is not None
            steps.append(two)
    return steps


def compute(steps: list[Step], y: Float32) -> Float32:
    for step in steps:
        y = step.apply(y)
    return y


@pytest.mark.parametrize("seed", range(200))
def test_bits_are_those_of_the_steps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, behind = draw_steps(rng, rng.integers(1, 4)), draw_steps(rng, rng.integers(0, 4))
    limit = draw(rng)
    found = find_thresholds(before, behind, limit, LARGEST)
    assert found is not None
    sums = np.arange(-LARGEST, LARGEST + 1)
    windows = [(a, b) for a in sums for b in sums if a <= b]
    own = np.where(found.negated, -1, 1)
    for a, b in windows:
        y = [compute(before, np.full(CHANNELS, s, np.float32)) for s in (a, b)]
        wanted = compute(behind, np.maximum(*y)) >= limit
        got = (own * a >= found.thresholds) | (own * b >= found.thresholds)
        assert ((got != found.opposite) == wanted).all()


def test_channels_of_every_kind_occur() -> None:
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        one = find_thresholds(draw_steps(rng, 2), draw_steps(rng, 2), draw(rng), LARGEST)
        assert one is not None
        found.append(one)
    kinds = {(bool(n), bool(o)) for one in found for n, o in zip(one.negated, one.opposite, strict=True)}
    assert kinds == {(False, False), (False, True), (True, False), (True, True)}
    thresholds = np.concatenate([one.thresholds for one in found])
    assert {-LARGEST, LARGEST + 1, 0} < set(thresholds.tolist())
    assert len(set(thresholds.tolist())) > 30


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_steps_that_are_not_finite_are_refused(number: float) -> None:
    values = np.full(CHANNELS, number, np.float32)
    ones = np.ones(CHANNELS, np.float32)
    assert find_thresholds([product(values)], [], ones, LARGEST) is None
    assert find_thresholds([product(ones * np.float32(3e38))], [], ones, LARGEST) is None  # it overflows
    assert (find_thresholds([product(ones)], [], values, LARGEST) is None) == np.isnan(number)


def test_slopes_of_two_signs_are_refused() -> None:
    assert slopes(np.float32([1, -1e-30]), np.float32([1, 1e-30])) is None
    assert slopes(np.float32([1, -1e-30, 0]), np.float32([1, -1e-30, -1])) is not None
