"""The activations that end an operator: each is one pair of bounds."""

import math
from collections.abc import Mapping
from typing import Literal

Activation = Literal["none", "hardtanh", "relu"]

# y becomes the lower bound where y < low, and the upper one where y > high: a NaN passes, and so does -0.0.
BOUNDS: Mapping[Activation, tuple[float, float]] = {
    "none": (-math.inf, math.inf),
    "hardtanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
}


def activation_between(low: float, high: float) -> Activation | None:
    """Returns the activation that has these bounds; None where none has."""
    return next((name for name, bounds in BOUNDS.items() if bounds == (low, high)), None)
