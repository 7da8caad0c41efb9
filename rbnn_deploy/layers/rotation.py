"""The bi-rotation of a layer's weights, and how it is learned.

1. The n weights of an output channel are a p x q matrix X_o, with p the largest divisor of n up to sqrt(n).
   Two small orthogonal matrices, R1 (p x p) and R2 (q x q), then rotate it: R1^T X_o R2. That is the rotation
   of the n-vector by the Kronecker product of the two, for p^2 + q^2 numbers in place of n^2.
2. Learning maximises sum_o trace(B_o R2^T X_o^T R1), the overlap of the rotated weights with their own signs
   B_o = sign(R1^T X_o R2). With two of (B, R1, R2) fixed, the third has a closed form, so sweeps alternate:
       B_o = sign(R1^T X_o R2)
       D1 = sum_o B_o R2^T X_o^T = U S V^T    R1 = V U^T
       D2 = sum_o X_o^T R1 B_o   = U S V^T    R2 = U V^T
   Each step can only raise the overlap.
"""

import math

import torch
from torch import Tensor

from rbnn_deploy.layers.signs import binary_sign

SWEEPS = 3


def rotation_sizes(count: int) -> tuple[int, int]:
    """Factors `count` into p * q, with p the largest divisor that is at most sqrt(count)."""
    p = next(divisor for divisor in range(math.isqrt(count), 0, -1) if count % divisor == 0)
    return p, count // p


def rotate(weight: Tensor, R1: Tensor, R2: Tensor) -> Tensor:
    """Rotates the weights of every output channel: R1^T X_o R2.

    Args:
        weight: [O, ...] with p * q elements behind the first axis.
        R1: [p, p].
        R2: [q, q].

    Returns:
        The shape of `weight`.
    """
    X = weight.reshape(-1, R1.shape[0], R2.shape[0])
    return (R1.T @ X @ R2).reshape(weight.shape)


def learn_rotation(weight: Tensor, R1: Tensor, R2: Tensor, sweeps: int = SWEEPS) -> tuple[Tensor, Tensor]:
    """Turns the rotations so that the rotated weights come closer to their own signs.

    Args:
        weight: [O, ...], standardised per output channel.
        R1: [p, p], where the sweeps start.
        R2: [q, q].
        sweeps: How many times B, R1 and R2 are each solved for.

    Returns:
        The new R1 and R2.
    """
    X = weight.reshape(-1, R1.shape[0], R2.shape[0])
    for _ in range(sweeps):
        X_R2 = X @ R2
        B = binary_sign(R1.T @ X_R2)
        U, _, Vh = torch.linalg.svd(torch.einsum("oij,okj->ik", B, X_R2))
        R1 = (U @ Vh).T
        U, _, Vh = torch.linalg.svd(torch.einsum("oki,okj->ij", X, R1 @ B))
        R2 = U @ Vh
    return R1, R2
