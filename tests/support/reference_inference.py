"""Rotated binary networks in evaluation mode, transcribed from the paper in float64; no code of ours is used.

Lin et al., Rotated Binary Neural Network, NeurIPS 2020 (arXiv 2009.13055), section 3, and the code published
with it where the two differ. Names are the paper's. It is slow and literal: the fidelity tests rest on it, so
it must be possible to check it by reading. A state dict maps keys of a checkpoint to arrays.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]
State = Mapping[str, NDArray]
Norm = Callable[[State, str, Array], Array]


@dataclass
class Trace:
    """What the binary layers saw.

    Attributes:
        activations: Per layer, (A - mean(A)) / std(A), [N, C, H, W]: the signs of this are convolved.
    """

    activations: dict[str, Array] = field(default_factory=dict)

    @property
    def margin(self) -> float:
        """Distance of the nearest activation to its threshold, in standard deviations of its sample."""
        return min(float(np.abs(a).min()) for a in self.activations.values())


def convolve(a: Array, w: Array, stride: int, padding: int) -> Array:
    """Convolves [N, I, H, W] with [O, I, KH, KW], with zeros around the map."""
    a = np.pad(a, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(a, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.tensordot(windows, w, axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)


def rotated_weight(state: State, name: str) -> Array:
    """Returns w' = w + |sin(theta)| (R1^T X R2 - w), whose signs are the binary weights, [O, I, KH, KW]."""
    W, theta, R1, R2 = (np.float64(state[f"{name}.{key}"]) for key in ("weight", "rotate", "R1", "R2"))
    w = W - W.mean((1, 2, 3), keepdims=True)
    w = w / w.std((1, 2, 3), keepdims=True, ddof=1)
    X = w.reshape(len(w), len(R1), len(R2))
    Rw = np.stack([R1.T @ X_o @ R2 for X_o in X]).reshape(w.shape)
    return w + np.abs(np.sin(theta)) * (Rw - w)


def binary_convolution(
    state: State, name: str, A: Array, stride: int = 1, padding: int = 1, trace: Trace | None = None
) -> Array:
    """Computes one binary layer: the signs of the centred input with the signs of w', times alpha."""
    a = A - A.mean((1, 2, 3), keepdims=True)
    a = a / a.std((1, 2, 3), keepdims=True, ddof=1)
    if trace is not None:
        trace.activations[name] = a
    b_a, b_w = np.sign(a), np.sign(rotated_weight(state, name))
    return convolve(b_a, b_w, stride, padding) * np.float64(state[f"{name}.alpha"])


def batch_norm(state: State, name: str, x: Array) -> Array:
    """Normalises [N, C, ...] with the statistics of the training, and PyTorch's epsilon."""
    gamma, beta, mean, var = (
        np.float64(state[f"{name}.{key}"]).reshape(1, -1, *[1] * (x.ndim - 2))
        for key in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(var + 1e-5) * gamma + beta


def hardtanh(x: Array) -> Array:
    """Clips to [-1, 1]."""
    return np.clip(x, -1.0, 1.0)


def padded_shortcut(x: Array, planes: int) -> Array:
    """Where shapes change: takes every second row and column, adds planes / 4 zero channels on each side."""
    if x.shape[1] == planes:
        return x
    return np.pad(x[:, :, ::2, ::2], ((0, 0), (planes // 4, planes // 4), (0, 0), (0, 0)))


def resnet20(
    state: State, x: NDArray, *, bireal: bool, norm: Norm = batch_norm, trace: Trace | None = None
) -> Array:
    """Computes the logits [N, classes] of CIFAR's resnet20_1w1a, or of resnet20_bireal_1w1a.

    Args:
        state: The state dict.
        x: [N, 3, 32, 32], normalised.
        bireal: Whether each convolution has a shortcut of its own, and not each block.
        norm: Computes a BatchNorm.
        trace: Takes note of what the binary layers see.
    """
    x = convolve(np.float64(x), np.float64(state["conv1.weight"]), 1, 1)
    x = hardtanh(norm(state, "bn1", x))
    for stage, planes in enumerate((16, 32, 64), 1):
        for index in range(3):
            block = f"layer{stage}.{index}"
            stride = 2 if stage > 1 and index == 0 else 1
            y = norm(
                state, f"{block}.bn1", binary_convolution(state, f"{block}.conv1", x, stride, trace=trace)
            )
            y = hardtanh(y + padded_shortcut(x, planes) if bireal else y)
            z = norm(state, f"{block}.bn2", binary_convolution(state, f"{block}.conv2", y, trace=trace))
            x = hardtanh(z + (y if bireal else padded_shortcut(x, planes)))
    x = norm(state, "bn2", x.mean((2, 3)))
    return x @ np.float64(state["linear.weight"]).T + np.float64(state["linear.bias"])
