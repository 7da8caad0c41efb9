"""The range that becomes integers, for activations whose spread is known."""

import numpy as np
import pytest

from rbnn_deploy import api
from rbnn_deploy.exporters.onnx.calibration_ranges import RULES, choose_range
from rbnn_deploy.exporters.onnx.quantisation import quantisation_of, quantise_weights
from rbnn_deploy.value_histogram import BINS, ValueHistogram


def seen(values: np.ndarray) -> ValueHistogram:
    least, most = float(values.min()), float(values.max())
    return ValueHistogram(least, most, np.histogram(values, BINS, (least, most))[0])


def error(values: np.ndarray, chosen: tuple[float, float]) -> float:
    how = quantisation_of(chosen)
    integers = np.clip(np.rint(values * how.factor), how.low, how.high)
    return float(((integers / how.factor - values) ** 2).mean())


@pytest.fixture
def spread() -> np.ndarray:
    """A normal distribution, and two values far outside it."""
    values = np.random.default_rng(0).standard_normal(400_000)
    values[:2] = (-30, 50)
    return values


def test_minmax_is_all_that_was_seen(spread: np.ndarray) -> None:
    assert choose_range(seen(spread), "minmax") == (-30, 50)


def test_percentile_leaves_the_outermost_out(spread: np.ndarray) -> None:
    low, high = choose_range(seen(spread), "percentile")
    width = 80 / BINS
    inside = np.quantile(spread, [5e-5, 1 - 5e-5])
    assert abs(low - inside[0]) <= 2 * width
    assert abs(high - inside[1]) <= 2 * width


@pytest.mark.parametrize("share", [1e-2, 1e-4, 1e-5])
def test_percentile_keeps_activations_that_are_nearly_all_zero(share: float) -> None:
    values = np.zeros(1_000_000)
    values[: int(share * values.size)] = np.random.default_rng(0).uniform(1, 2, int(share * values.size))
    low, high = choose_range(seen(values), "percentile")
    assert low < 1.1  # quantisation widens the range to 0
    assert high >= np.quantile(values[values > 0], 0.99)


def test_mse_has_the_least_error(spread: np.ndarray) -> None:
    heavy = np.random.default_rng(0).laplace(size=100_000)
    for values in (spread, heavy):
        errors = {rule: error(values, choose_range(seen(values), rule)) for rule in RULES}
        assert errors["mse"] <= errors["minmax"] * 1.001
    assert errors["mse"] < 0.9 * errors["minmax"]  # without outliers, but with long tails


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "bounds", [(2.0, 2.0), (0.0, 0.0), (float("nan"), float("nan")), (0.0, float("inf"))]
)
def test_ranges_without_extent_stay(rule: str, bounds: tuple[float, float]) -> None:
    found = choose_range(ValueHistogram(*bounds, np.zeros(BINS, np.int64)), rule)
    np.testing.assert_array_equal(found, bounds)


def test_the_rules_have_the_names_of_the_interface() -> None:
    assert tuple(RULES) == api.CALIBRATION_RANGES


@pytest.mark.parametrize(
    ("measured", "low", "high"),
    [
        ((-2.0, 1.0), -170, 85),
        ((0.0, 6.0), 0, 255),
        ((2.0, 6.0), 0, 255),
        ((-3.0, -1.0), -255, 0),
        ((0.0, 0.0), 0, 255),
    ],
)
def test_activations_become_256_integers_zero_among_them(
    measured: tuple[float, float], low: int, high: int
) -> None:
    how = quantisation_of(measured)
    assert (how.low, how.high) == (low, high)
    for end in measured:
        assert how.low - 1 <= end * how.factor <= how.high + 1


@pytest.mark.parametrize("bound", [1e-45, 1e-40, 1e-30, 1e30, 3e38])
def test_ranges_of_any_size_have_a_factor(bound: float) -> None:
    how = quantisation_of((-bound, bound))
    assert 0 < how.factor < np.inf


def test_weights_are_within_half_a_step() -> None:
    weights = (
        np.random.default_rng(0).standard_normal((5, 3, 2, 4)) * np.logspace(-6, 6, 5)[:, None, None, None]
    )
    weights[2] = 0
    integers, steps = quantise_weights(weights)
    assert integers.shape == (5, 2, 4, 3)
    assert np.abs(integers).max() == 127
    back = integers.transpose(0, 3, 1, 2) * steps[:, None, None, None]
    assert (np.abs(back - weights) <= 0.5001 * steps[:, None, None, None]).all()
