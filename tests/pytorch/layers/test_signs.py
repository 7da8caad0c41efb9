import math

import pytest
import torch

from rbnn_deploy.pytorch.layers import signs
from rbnn_deploy.pytorch.layers.signs import (
    SignGradient,
    binary_sign,
    sample_mean,
    standardize,
    standardized_sign,
    trainable_sign,
)


def test_sign_of_both_zeros_is_plus_one_and_of_nan_is_minus_one():
    x = torch.tensor([-1.5, -1e-45, -0.0, 0.0, 1e-45, 2.0, math.nan, math.inf, -math.inf])
    assert binary_sign(x).tolist() == [-1, -1, 1, 1, 1, 1, -1, 1, -1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_sign_keeps_the_type(dtype):
    assert binary_sign(torch.ones(2, dtype=dtype)).dtype == dtype


def test_equal_values_reach_their_own_mean():
    # A float32 mean of 0.1 exceeds 0.1 at some of these sizes.
    for size in range(1, 40):
        x = torch.full((1, 3, size, size), 0.1)
        assert (binary_sign(x, sample_mean(x)) == 1).all()


def test_schedule_has_the_papers_ends_and_is_even_in_the_logarithm():
    first, middle, last = (SignGradient.at_epoch(epoch, 120) for epoch in (0, 40, 120))
    assert (first.t, first.k) == pytest.approx((1e-2, 1e2))
    assert (middle.t, middle.k) == pytest.approx((1e-1, 1e1))
    assert (last.t, last.k) == pytest.approx((1e1, 1.0))


def test_activations_use_no_sharper_start():
    assert SignGradient.at_epoch(0, 10).for_activations == SignGradient(1.0, 1.0)
    assert SignGradient(5.0, 1.0).for_activations == SignGradient(5.0, 1.0)


@pytest.mark.parametrize(("epoch", "epochs"), [(-1, 10), (11, 10), (0, 0)])
def test_schedule_refuses_an_epoch_outside_the_training(epoch, epochs):
    with pytest.raises(ValueError, match="epoch"):
        SignGradient.at_epoch(epoch, epochs)


def test_gradient_is_the_triangle():
    t, k = 2.0, 1.5
    x = torch.tensor([-5.0, -math.sqrt(2) / t, -0.25, 0.0, 0.25, 0.7, 5.0], dtype=torch.float64)
    x.requires_grad_()
    upstream = torch.tensor([1.0, 2.0, 3.0, -4.0, 5.0, 6.0, 7.0], dtype=torch.float64)
    trainable_sign(x, SignGradient(t, k)).backward(upstream)
    expected = [
        g * max(k * (math.sqrt(2) * t - abs(t * t * v)), 0.0)
        for g, v in zip(upstream, x.tolist(), strict=True)
    ]
    # Both are float64 expressions of the same formula, so only their last bits may differ.
    torch.testing.assert_close(x.grad, torch.tensor(expected, dtype=torch.float64), rtol=1e-14, atol=1e-14)


def test_standardize_is_defined_and_differentiable_where_all_values_are_equal():
    x = torch.full((2, 3, 2, 2), 0.5, requires_grad=True)
    y = standardize(x)
    y.sum().backward()
    assert (y == 0).all()
    assert torch.isfinite(x.grad).all()


def test_standardize_takes_a_single_value():
    assert standardize(torch.full((2, 1, 1, 1), 0.5)).tolist() == torch.zeros(2, 1, 1, 1).tolist()


def test_gradient_flows_through_mean_and_deviation():
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(standardize, x.requires_grad_())


@pytest.mark.parametrize("t", [1.0, 10.0])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 1, 1, 2), (2, 1, 1, 1)])
def test_the_fused_sign_is_the_composed_one(shape, t):
    x = torch.randn(
        shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True
    )
    upstream = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradient = SignGradient(t, 1.0)
    fused, composed = standardized_sign(x, gradient), trainable_sign(standardize(x), gradient)
    assert torch.equal(fused, composed)
    got, expected = (torch.autograd.grad(y, x, upstream)[0] for y in (fused, composed))
    # The same derivative in float64, written in two ways.
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


def test_channels_last_maps_have_the_same_gradient_without_a_copy(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 5, 4, 6, dtype=torch.float64, generator=generator)
    upstream = torch.randn(x.shape, dtype=torch.float64, generator=generator)

    def gradient(layout):
        own = x.clone(memory_format=layout).requires_grad_()
        standardized_sign(own, SignGradient(1.0, 1.0)).backward(upstream.contiguous(memory_format=layout))
        return own.grad

    expected = gradient(torch.contiguous_format)
    rows, viewed = signs._rows, []

    def record(maps):
        result = rows(maps)
        viewed.append(result.data_ptr() == maps.data_ptr())
        return result

    monkeypatch.setattr(signs, "_rows", record)
    # float64 sums in another order.
    torch.testing.assert_close(gradient(torch.channels_last), expected, rtol=1e-12, atol=1e-15)
    assert viewed == [True, True]
