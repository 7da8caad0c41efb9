import pytest
import torch

from rbnn_deploy.pytorch.layers.rotation import learn_rotation, rotate, rotation_sizes
from rbnn_deploy.pytorch.layers.signs import binary_sign


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (1, (1, 1)),
        (2, (1, 2)),
        (7, (1, 7)),
        (36, (6, 6)),
        (75, (5, 15)),
        (144, (12, 12)),
        (288, (16, 18)),
        (4608, (64, 72)),
    ],
)
def test_sizes_are_the_most_even_factors(count, sizes):
    assert rotation_sizes(count) == sizes


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 2, 3, 3, generator=generator, dtype=torch.float64)
    R1, R2 = (
        torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
        for n in rotation_sizes(18)
    )
    return weight, R1, R2


def test_rotation_is_that_of_the_kronecker_product(case):
    weight, R1, R2 = case
    full = torch.kron(R1.T.contiguous(), R2.T.contiguous())
    # Two orders of the same float64 sums of 18 products.
    torch.testing.assert_close(
        rotate(weight, R1, R2).flatten(1), weight.flatten(1) @ full.T, rtol=0, atol=1e-12
    )


def test_learning_follows_the_equations_channel_by_channel(case):
    weight, R1, R2 = case
    got = learn_rotation(weight, R1, R2, sweeps=3)
    X = [channel.reshape(R1.shape[0], R2.shape[0]) for channel in weight]
    for _ in range(3):
        B = [binary_sign(R1.T @ x @ R2) for x in X]
        U, _, Vh = torch.linalg.svd(sum(b @ R2.T @ x.T for b, x in zip(B, X, strict=True)))
        R1 = Vh.T @ U.T
        U, _, Vh = torch.linalg.svd(sum(x.T @ R1 @ b for b, x in zip(B, X, strict=True)))
        R2 = U @ Vh
    # The same sums in another order; an SVD of a matrix this small amplifies them by its condition only.
    torch.testing.assert_close(got, (R1, R2), rtol=0, atol=1e-9)


def test_learning_keeps_the_rotations_orthogonal_and_raises_the_overlap(case):
    weight, R1, R2 = case

    def overlap(R1, R2):
        return rotate(weight, R1, R2).abs().sum()

    previous = overlap(R1, R2)
    for _ in range(5):
        R1, R2 = learn_rotation(weight, R1, R2, sweeps=1)
        for R in (R1, R2):
            torch.testing.assert_close(R @ R.T, torch.eye(len(R), dtype=R.dtype), rtol=0, atol=1e-12)
        assert overlap(R1, R2) >= previous - 1e-12
        previous = overlap(R1, R2)
