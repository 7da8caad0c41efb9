"""Steps 1 and 2 of `ai.rbnn::BinaryConv2d`: each sample's threshold, and the bits that follow from it."""

import numpy as np
import numpy.typing as npt

LANES = 16


def sample_means(X: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Computes each sample's mean in the one order that the specification fixes.

    Args:
        X: float32 [N, H, W, C].

    Returns:
        float32 [N]; NaN where a sample holds a NaN, infinities of both signs, or nothing.
    """
    N, H, W, C = X.shape
    # A row of zeros behind the last value changes no lane: lanes start at +0, so none is ever -0.
    steps = -(-W * C // LANES)
    rows = np.zeros((N, H, steps * LANES), np.float32)
    rows[:, :, : W * C] = X.reshape(N, H, W * C)
    values = rows.reshape(N, H, steps, LANES)

    with np.errstate(invalid="ignore"):
        lanes = np.zeros((N, H, LANES), np.float64)
        for step in range(steps):
            lanes += values[:, :, step]
        for half in (8, 4, 2, 1):
            lanes = lanes[..., :half] + lanes[..., half:]

        total = np.zeros(N, np.float64)
        for h in range(H):
            total += lanes[:, h, 0]
        means: npt.NDArray[np.float32] = (total / np.float64(H * W * C)).astype(np.float32)
        return means


def thresholds(X: npt.NDArray[np.float32], rule: str) -> npt.NDArray[np.float32]:
    """Returns the value that each sample's activations are compared with.

    Args:
        X: float32 [N, H, W, C].
        rule: `sample_mean` or `zero`.

    Returns:
        float32 [N].
    """
    return sample_means(X) if rule == "sample_mean" else np.zeros(len(X), np.float32)


def binarise(X: npt.NDArray[np.float32], rule: str) -> npt.NDArray[np.bool_]:
    """Returns bool [N, H, W, C]: True stands for +1, where `x >= t`; a NaN on either side gives False."""
    t = thresholds(X, rule).reshape(-1, 1, 1, 1)
    return np.greater_equal(X, t)
