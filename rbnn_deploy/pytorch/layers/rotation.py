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
    p, q = R1.shape[0], R2.shape[0]
    # [p, O, q]: as p x Oq it is multiplied from the left, as pO x q from the right, and the sums over
    # channels are products of the same two views; every step is one product of matrices, without a copy.
    X = weight.reshape(-1, p, q).transpose(0, 1).reshape(p, -1)
    R1_X = R1.T @ X
    for _ in range(sweeps):
        V = (R1_X.view(-1, q) @ R2).view(p, -1)
        B = V.sign()
        D1 = (B @ V.T) @ R1.T  # X R2 is R1 V
        R1 = _nearest_orthogonal(D1).T
        R1_X = R1.T @ X
        R2 = _nearest_orthogonal(R1_X.view(-1, q).T @ B.view(-1, q))
    return R1, R2


def _nearest_orthogonal(D: Tensor) -> Tensor:
    """Returns U V^T of D = U S V^T, which maximises trace(D^T R) over the orthogonal R.

    The decomposition runs on the host: on a GPU one of this size is slower by far.
    """
    U, _, Vh = torch.linalg.svd(D.cpu())
    nearest: Tensor = U @ Vh
    return nearest.to(D.device)
